// Responses: those of `http.send`, whose body is there at once, and those of `fetch`, whose methods return promises.

import { excerpt } from "./excerpt.js";
import { Reject, Retry } from "./failure.js";
import { Headers } from "./headers.js";
import { bytesOf, jsonText, lossyTextOf, payloadOf } from "./payload.js";

/** The response of `http.send`. */
export class HttpResponse {
  constructor(raw) {
    this.status = raw.status;
    this.headers = Headers.of(raw.headers);
    this.payload = raw.body;
  }

  get ok() {
    return this.status >= 200 && this.status < 300;
  }

  text() {
    return lossyTextOf(this.payload);
  }

  bytes() {
    return bytesOf(this.payload);
  }

  json() {
    return JSON.parse(this.text());
  }

  errorForStatus() {
    return errorForStatus(this);
  }
}

/** Returns a response whose status is a success. 408, 429 and 5xx throw a `Retry`, other statuses from 300 on a `Reject`. The reason has the
 * beginning of a body that is text. */
export function errorForStatus(response) {
  const { status } = response;
  if (status < 300) return response;
  const body = response.payload?.tag === "text" ? excerpt(response.payload.val) : "";
  const reason = `the call was answered with status ${status}${body && `: ${body}`}`;
  if (status === 408 || status === 429 || status >= 500) {
    const seconds = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
    throw new Retry(reason, seconds >= 0 ? { afterSeconds: seconds } : {});
  }
  throw new Reject(reason);
}

/** The global `Response`: what `fetch` returns, and what a handler may return. */
export class Response {
  #bodyUsed = false;

  constructor(body = null, init = {}) {
    const status = init.status ?? 200;
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`a status is a whole number from 200 to 599, not ${String(status)}`);
    }
    this.status = status;
    this.statusText = init.statusText ?? "";
    this.headers = new Headers(init.headers);
    this.type = "default";
    this.redirected = false;
    this.url = "";
    const { payload, contentType } = bodyOf(body);
    this.payload = payload ?? { tag: "text", val: "" };
    if (contentType && !this.headers.has("content-type")) this.headers.set("content-type", contentType);
  }

  /** The response to a request that `fetch` has sent. */
  static received(raw, url) {
    const response = new Response();
    response.status = raw.status;
    response.headers = Headers.of(raw.headers);
    response.payload = raw.body;
    response.url = url;
    response.type = "basic";
    return response;
  }

  static json(value, init = {}) {
    const response = new Response(jsonText(value, "the body of a response"), init);
    if (!new Headers(init.headers).has("content-type")) response.headers.set("content-type", "application/json");
    return response;
  }

  static error() {
    throw new TypeError("Response.error is not available: throw an error");
  }

  get ok() {
    return this.status >= 200 && this.status < 300;
  }

  get bodyUsed() {
    return this.#bodyUsed;
  }

  get body() {
    throw new TypeError("bodies are not streams here: use text(), json() or arrayBuffer()");
  }

  #take() {
    if (this.#bodyUsed) throw new TypeError("the body has been read already: keep it in a variable, or use clone()");
    this.#bodyUsed = true;
    return this.payload;
  }

  async text() {
    return lossyTextOf(this.#take());
  }

  async json() {
    return JSON.parse(lossyTextOf(this.#take()));
  }

  async bytes() {
    return bytesOf(this.#take());
  }

  async arrayBuffer() {
    return bytesOf(this.#take()).slice().buffer;
  }

  clone() {
    const copy = new Response();
    Object.assign(copy, this, { headers: new Headers(this.headers), payload: this.payload });
    return copy;
  }
}

/** The payload of a body that `fetch` or `Response` takes, and the content type that follows from it. */
export function bodyOf(body) {
  if (body == null) return {};
  if (typeof body === "string") {
    return { payload: payloadOf(body), contentType: "text/plain;charset=UTF-8" };
  }
  if (body instanceof URLSearchParams) {
    return { payload: payloadOf(String(body)), contentType: "application/x-www-form-urlencoded;charset=UTF-8" };
  }
  return { payload: payloadOf(body, "a body") };
}
