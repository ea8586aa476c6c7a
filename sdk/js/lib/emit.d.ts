import type { Body, HeadersInit } from "./index.js";

/** An event for another hook. Of `json` and `body`, give at most one. */
export interface Emission {
  /** The `eventType` of the new event. */
  eventType?: string;
  headers?: HeadersInit;
  /** A body that is sent as JSON. */
  json?: unknown;
  body?: Body;
  /** Emissions with the same key to the same hook are one, as long as that hook's `[dedup] window`. */
  key?: string;
  /** The event runs at the earliest this long after the attempt has succeeded. */
  delaySeconds?: number;
}

/** Emits an event to a hook and returns its id. Needs `[allow] emit = ["HOOK"]`. Events are kept if the attempt succeeds. */
export declare function emit(hook: string, emission?: Emission): string;
