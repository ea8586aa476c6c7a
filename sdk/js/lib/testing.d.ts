/** Native tests: made-up events, and a fake host that answers calls and keeps what the handler did. */

import type { Body, Event, Handler, HeadersInit, HttpError } from "./index.js";

/** The answer to outbound calls. */
export interface Answer {
  /** 200 by default. */
  status?: number;
  headers?: HeadersInit;
  body?: Body;
  json?: unknown;
  /** The call fails with an `HttpError` of this kind instead. */
  error?: HttpError["kind"];
  /** Only calls with this method. */
  method?: string;
  /** How often this answer is given. Always by default. */
  times?: number;
}

/** An outbound call that the handler made. */
export interface Call {
  method: string;
  url: string;
  /** Names are in lower case. */
  headers: Record<string, string>;
  body: Body;
  timeoutMs: number | undefined;
  /** The body as JSON. */
  readonly json: any;
}

export interface Emitted {
  hook: string;
  eventType: string | undefined;
  headers: Record<string, string>;
  body: Body;
  key: string | undefined;
  delaySeconds: number | undefined;
  /** The body as JSON. */
  readonly json: any;
}

/** What the handler did, and the answers to its calls. */
export interface Host {
  /** Answers calls whose URL starts with `url`. The first answer that fits and is not used up is given. Other calls are `denied`. */
  answer(url: string, answer?: Answer): Host;
  readonly calls: Call[];
  /** Lines with their level: `"info: hello"`. */
  readonly logs: string[];
  readonly rows: { table: string; row: any }[];
  readonly emitted: Emitted[];
  /** Every value by its key. */
  readonly kv: Record<string, Body>;
}

/** A new fake host. It has nothing of an earlier one. */
export declare function host(state?: { settings?: Record<string, unknown>; kv?: Record<string, Body> }): Host;

/** An event: a `POST` with a JSON body if `json` is given. */
export declare function event(fields?: {
  id?: string;
  hook?: string;
  attempt?: number;
  receivedAt?: string;
  provider?: string;
  eventType?: string;
  deliveryId?: string;
  method?: string;
  path?: string;
  query?: string;
  headers?: HeadersInit;
  json?: unknown;
  body?: Body;
  attributes?: Record<string, string>;
  params?: Record<string, string>;
}): Event;

export interface TestReply {
  status: number;
  /** Names are in lower case. */
  headers: Record<string, string>;
  text(): string;
  bytes(): Uint8Array;
  json(): any;
}

/** How a handler ended. */
export interface Outcome {
  outcome: "done" | "retry" | "defer" | "reject";
  /** Undefined if the handler is done and leaves the answer to the host. */
  reply?: TestReply;
  reason?: string;
  afterSeconds?: number;
  /** What the handler threw. */
  error?: unknown;
}

/** Runs a handler as a component does: `console` and `fetch` belong to the fake host, and what it throws is an outcome. */
export declare function run(handler: Handler, event: Event): Promise<Outcome>;
