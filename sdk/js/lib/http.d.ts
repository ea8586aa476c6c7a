/** Outbound calls. The operator lists what may be reached under `[allow] http`, and adds the credentials. */

import type { HttpError } from "./failure.js";
import type { Body, Headers, HeadersInit } from "./index.js";

export { HttpError } from "./failure.js";

/** A request. Of `json`, `form` and `body`, give at most one. */
export interface Request {
  /** Absolute, `http` or `https`. */
  url: string | URL;
  /** The default is `POST` for a request with a body, and `GET` for one without. */
  method?: string;
  headers?: HeadersInit;
  /** A body that is sent as JSON. */
  json?: unknown;
  /** The fields of a form. */
  form?: URLSearchParams | Record<string, string> | Iterable<readonly [string, string]>;
  body?: Body;
  /** The time for the whole call. The default is 30 s, and at most the rest of the attempt. */
  timeoutMs?: number;
}

/** A response whose body is there at once. */
export declare class HttpResponse {
  private constructor();
  readonly status: number;
  /** Whether the status is 200 to 299. */
  readonly ok: boolean;
  readonly headers: Headers;
  text(): string;
  bytes(): Uint8Array;
  json<T = unknown>(): T;
  /**
   * This response, if its status is a success. 408, 429 and 5xx throw a `Retry`, other statuses from 300 on a `Reject`. The reason has the
   * status and, of a body that is text, the first 200 characters.
   */
  errorForStatus(): this;
}

/** Sends a request. Every status is a response. Without a response it throws an `HttpError`. */
export declare function send(request: Request | string | URL): HttpResponse;

/** Sends several requests, up to eight at a time. The results have the order of the requests. */
export declare function sendAll(requests: readonly (Request | string | URL)[]): (HttpResponse | HttpError)[];

/** What `HttpResponse.errorForStatus` does, also for a response of `fetch`. */
export declare function errorForStatus<R extends { status: number; headers: { get(name: string): string | null } }>(response: R): R;
