// Outbound calls. The operator lists what may be reached under `[allow] http`, and adds the credentials.

import * as host from "#host/http";
import { calling, HttpError } from "./failure.js";
import { pairsOf } from "./headers.js";
import { jsonText, milliseconds, payloadOf, rawPairs } from "./payload.js";
import { inHandler } from "./phase.js";
import { HttpResponse } from "./response.js";

export { errorForStatus, HttpResponse } from "./response.js";
export { HttpError } from "./failure.js";

/** Sends a request. Every status is a response; without a response it throws an `HttpError`. */
export function send(request) {
  inHandler("http.send");
  const raw = rawRequest(request);
  return new HttpResponse(calling(HttpError, () => host.send(raw)));
}

/** Sends several requests, up to eight at a time. The results have the order of the requests. */
export function sendAll(requests) {
  inHandler("http.sendAll");
  return host.sendAll(requests.map(rawRequest)).map((result) =>
    result.tag === "ok" ? new HttpResponse(result.val) : new HttpError(result.val.tag, result.val.val),
  );
}

function rawRequest(request) {
  if (typeof request === "string" || request instanceof URL) return rawRequest({ url: request });
  const headers = pairsOf(request.headers);
  const { body, contentType } = requestBody(request);
  if (contentType && !headers.some(([name]) => name.toLowerCase() === "content-type")) {
    headers.push(["content-type", contentType]);
  }
  return {
    method: request.method?.toUpperCase().toWellFormed() ?? (body ? "POST" : "GET"),
    url: String(request.url).toWellFormed(),
    headers: rawPairs(headers),
    body,
    timeoutMs: milliseconds(request.timeoutMs),
  };
}

function requestBody(request) {
  if (request.json !== undefined) {
    return { body: payloadOf(jsonText(request.json, "`json` of a request")), contentType: "application/json" };
  }
  if (request.form !== undefined) {
    const form = String(new URLSearchParams(request.form));
    return { body: payloadOf(form), contentType: "application/x-www-form-urlencoded" };
  }
  return { body: request.body == null ? undefined : payloadOf(request.body, "the body of a request") };
}
