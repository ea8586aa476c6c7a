// What QuickJS does not have and handlers expect. The build evaluates this module before the author's.

import { makeConsole } from "../console.js";
import { Headers } from "../headers.js";
import { phase } from "../phase.js";
import { enqueue, LandfallPromise } from "../promise.js";
import { Response } from "../response.js";
import { AbortController, AbortSignal } from "./abort.js";
import { cloned } from "./clone.js";
import { TextDecoder, TextEncoder } from "./encoding.js";
import { fromAsync } from "./from_async.js";
import { crypto, random } from "./random.js";
import { URLSearchParams } from "./search_params.js";
import { URL } from "./url.js";

/** A function that a handler cannot have, with the way out. */
function unavailable(name, wayOut) {
  return () => {
    throw new TypeError(`${name} is not available in a handler: ${wayOut}`);
  };
}

const NO_TIMERS = "an event is handled at once. To try again later, throw new Retry(…) or new Defer(…) with afterSeconds";

Object.assign(globalThis, {
  AbortController,
  AbortSignal,
  console: makeConsole(),
  crypto,
  Headers,
  Promise: LandfallPromise,
  queueMicrotask: (job) => enqueue(job),
  Response,
  setInterval: unavailable("setInterval", NO_TIMERS),
  setTimeout: unavailable("setTimeout", NO_TIMERS),
  clearInterval: () => {},
  clearTimeout: () => {},
  structuredClone: (value) => cloned(value),
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
});
Object.defineProperty(Array, "fromAsync", { value: fromAsync, writable: true, configurable: true });
Math.random = random;
phase.isLoading = true;
