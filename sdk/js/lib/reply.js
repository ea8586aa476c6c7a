// What the caller receives.

import { pairsOf } from "./headers.js";
import { jsonText, kindOf, payloadOf, rawPairs } from "./payload.js";
import { Response } from "./response.js";

/** An HTTP response for the caller. */
export class Reply {
  constructor(status = 200, { headers, body } = {}) {
    this.status = statusFor(status);
    this.headers = pairsOf(headers);
    this.body = body ?? "";
  }
}

function statusFor(status) {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  throw new RangeError(`the status of a reply is a whole number from 200 to 599, not ${String(status)}`);
}

/** An object is sent as JSON, text as text, bytes as they are. */
export function reply(status = 200, body = undefined, headers = undefined) {
  if (body == null) return new Reply(status, { headers });
  if (typeof body === "string") return text(body, status, headers);
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return new Reply(status, { headers, body });
  return json(body, status, headers);
}

export function json(value, status = 200, headers = undefined) {
  const body = jsonText(value, "the body of a reply");
  return new Reply(status, { headers: typed(headers, "application/json"), body });
}

export function text(body, status = 200, headers = undefined) {
  return new Reply(status, { headers: typed(headers, "text/plain; charset=utf-8"), body });
}

function typed(headers, contentType) {
  const pairs = pairsOf(headers);
  const has = pairs.some(([name]) => name.toLowerCase() === "content-type");
  return has ? pairs : [["content-type", contentType], ...pairs];
}

/** What a handler returned, as the contract has it. */
export function rawReply(returned) {
  if (returned == null) return undefined;
  if (typeof returned === "string") return rawReply(text(returned));
  if (returned instanceof Reply) {
    const body = payloadOf(returned.body, "the body of a reply");
    return { status: statusFor(returned.status), headers: rawPairs(returned.headers), body };
  }
  if (returned instanceof Response) {
    return { status: statusFor(returned.status), headers: rawPairs(returned.headers.pairs), body: returned.payload };
  }
  throw new TypeError(
    `the handler returned ${kindOf(returned)}: return nothing, text, or a reply such as json({ ok: true })`,
  );
}
