// `fetch` over the outbound calls of Landfall. The call is made at once; the promise is resolved already.

import * as host from "#host/http";
import { calling, HttpError } from "./failure.js";
import { Headers } from "./headers.js";
import { inHandler } from "./phase.js";
import { milliseconds, rawPairs } from "./payload.js";
import { bodyOf, Response } from "./response.js";

const OPTIONS = ["method", "headers", "body", "signal", "timeoutMs"];

/** `init` over the options of a request that is an object with a `url`. */
function optionsOf(input, init) {
  if (typeof input !== "object" || input?.url === undefined) return init ?? {};
  return Object.fromEntries(OPTIONS.map((name) => [name, init?.[name] ?? input[name]]));
}

export async function fetch(input, options) {
  inHandler("fetch");
  const url = String(input?.url ?? input).toWellFormed();
  const init = optionsOf(input, options);
  const signal = init.signal;
  if (signal?.aborted) throw signal.reason;

  const headers = new Headers(init.headers);
  const { payload, contentType } = bodyOf(init.body);
  if (contentType && !headers.has("content-type")) headers.set("content-type", contentType);
  const method = String(init.method ?? "GET").toUpperCase().toWellFormed();
  if (payload && (method === "GET" || method === "HEAD")) {
    throw new TypeError(`a request with the method ${method} has no body: set method: "POST"`);
  }

  const request = {
    method,
    url,
    headers: rawPairs(headers.pairs),
    body: payload,
    timeoutMs: milliseconds(init.timeoutMs ?? signal?.timeoutMs),
  };
  return Response.received(
    calling(HttpError, () => host.send(request)),
    url,
  );
}
