// `fetch` over the outbound calls of Landfall. The call is made at once; the promise is resolved already.

import * as host from "#host/http";
import { calling, HttpError } from "./failure.js";
import { Headers } from "./headers.js";
import { inHandler } from "./phase.js";
import { bodyOf, Response } from "./response.js";

export async function fetch(input, init = {}) {
  inHandler("fetch");
  const url = String(input?.url ?? input);
  const signal = init.signal;
  if (signal?.aborted) throw signal.reason;

  const headers = new Headers(init.headers);
  const { payload, contentType } = bodyOf(init.body);
  if (contentType && !headers.has("content-type")) headers.set("content-type", contentType);
  const method = String(init.method ?? "GET").toUpperCase();
  if (payload && (method === "GET" || method === "HEAD")) {
    throw new TypeError(`a request with the method ${method} has no body: set method: "POST"`);
  }

  const timeoutMs = init.timeoutMs ?? signal?.timeoutMs;
  const request = {
    method,
    url,
    headers: headers.pairs,
    body: payload,
    timeoutMs: timeoutMs == null ? undefined : Math.ceil(timeoutMs),
  };
  return Response.received(
    calling(HttpError, () => host.send(request)),
    url,
  );
}
