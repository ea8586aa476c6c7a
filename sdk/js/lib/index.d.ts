/// <reference path="./globals.d.ts" />

/** The types of the SDK for Landfall handlers. */

export { emit, type Emission } from "./emit.js";
export { CapabilityError, Defer, HttpError, Reject, Retry } from "./failure.js";
export * as http from "./http.js";
export * as kv from "./kv.js";
export * as log from "./log.js";
export * as settings from "./settings.js";
export * as table from "./table.js";

/** A body or a value: text, or bytes. */
export type Body = string | Uint8Array | ArrayBuffer;

/** Headers, in any of the forms that `new Headers` takes. */
export type HeadersInit = Headers | Iterable<readonly [string, string]> | Record<string, string | readonly string[]>;

/** Headers, whose names have no case. */
export interface Headers extends Iterable<[string, string]> {
  /** The values of this name, joined by `", "`; `null` if there is none. */
  get(name: string): string | null;
  /** Every value of this name, in the order in which they were sent. */
  getAll(name: string): string[];
  getSetCookie(): string[];
  has(name: string): boolean;
  append(name: string, value: string): void;
  set(name: string, value: string): void;
  delete(name: string): void;
  forEach(callback: (value: string, name: string, headers: Headers) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
}
export declare const Headers: {
  prototype: Headers;
  new (init?: HeadersInit): Headers;
};

/**
 * A webhook request that the host has verified, or an event that another hook has emitted. It is the same on every attempt and every
 * replay, except for `attempt`.
 */
export declare class Event {
  private constructor();
  /** A UUIDv7. The same on every attempt and every replay. */
  readonly id: string;
  /** The name of the hook that received it. One component may serve several hooks. */
  readonly hook: string;
  /** 1 on the first attempt. A replay begins at 1 again. */
  readonly attempt: number;
  /** When the host had read the whole request. */
  readonly receivedAt: Date;
  /** The provider pack that verified it: `"github"`. Undefined if the hook file names a scheme instead, and for emitted events. */
  readonly provider: string | undefined;
  /** The provider's name for this kind of event: `"push"`. For an emitted event, what the emitting hook wrote. */
  readonly eventType: string | undefined;
  /** The provider's id of this delivery, if it has one. */
  readonly deliveryId: string | undefined;
  /** Upper case: `"POST"`. */
  readonly method: string;
  /** As sent, percent-encoded: `"/github"`. */
  readonly path: string;
  /** The query of the URL. A parameter that was a shared secret is removed. */
  readonly query: URLSearchParams;
  /** The query as sent, without the question mark. */
  readonly queryString: string | undefined;
  /** Headers that were a shared secret are removed. */
  readonly headers: Headers;
  /** Facts that the host found: `verified-by`, `client-address`, … */
  readonly attributes: Readonly<Record<string, string>>;
  /** The `{NAME}` segments of the hook's path. */
  readonly params: Readonly<Record<string, string>>;
  /** The body. If it is not UTF-8, a `Reject` is thrown. */
  text(): string;
  /** The body as it was sent. */
  bytes(): Uint8Array;
  /**
   * The body as JSON. If it is not JSON, a `Reject` is thrown, because the event can never succeed. `T` is not checked. If the provider
   * sends a form that has the document in one field, such as GitHub's `payload`, that field is read.
   */
  json<T = unknown>(): T;
  /** The text fields of a form, without files; `undefined` if the body is not a form. */
  form(): URLSearchParams | undefined;
}

/** An HTTP response for the caller. */
export declare class Reply {
  constructor(status?: number, options?: { headers?: HeadersInit; body?: Body });
  readonly status: number;
  readonly headers: readonly [string, string][];
  readonly body: Body;
}

/** A reply: an object is sent as JSON, text as text, bytes as they are, `null` as an empty body. */
export declare function reply(status?: number, body?: Body | object | null, headers?: HeadersInit): Reply;
/** A JSON reply. */
export declare function json(value: unknown, status?: number, headers?: HeadersInit): Reply;
/** A plain text reply. */
export declare function text(body: string, status?: number, headers?: HeadersInit): Reply;

/** What a handler returns. Nothing means the answer that the provider takes for success. */
export type Result = Reply | Response | string | null | undefined | void;

/** The default export of a handler. */
export type Handler = (event: Event) => Result | Promise<Result>;

/** The export `responder`: the quick answer of a hook in mode `async`. */
export type Responder = Handler;
