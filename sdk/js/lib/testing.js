// Native tests: made-up events, and a fake host that answers calls and keeps what the handler did.

import { makeConsole } from "./console.js";
import { Event } from "./event.js";
import { reset, state } from "./fake/state.js";
import { fetch } from "./fetch.js";
import { Headers, pairsOf } from "./headers.js";
import { failureOf } from "./outcome.js";
import { bytesOf, lossyTextOf, payloadOf } from "./payload.js";
import { rawReply } from "./reply.js";
import { Response } from "./response.js";

/** A new fake host. It has nothing of an earlier one. */
export function host({ settings = {}, kv = {} } = {}) {
  reset();
  state.settings = settings;
  for (const [key, value] of Object.entries(kv)) state.kv.set(key, payloadOf(value, "a value of kv"));
  return new Host();
}

class Host {
  /** Answers calls whose URL starts with `url`. Of several answers that fit, the first that is not used up. */
  answer(url, { status = 200, headers, body = "", json, error, method, times = Infinity } = {}) {
    const pairs = pairsOf(headers).map(([name, value]) => [name.toLowerCase(), value]);
    const text = json === undefined ? body : JSON.stringify(json);
    if (json !== undefined) pairs.push(["content-type", "application/json"]);
    const response = { status, headers: pairs, body: payloadOf(text, "the body of an answer") };
    state.answers.push({ url, method, error, response, left: times });
    return this;
  }

  get calls() {
    return state.calls;
  }

  get logs() {
    return state.logs;
  }

  get rows() {
    return state.rows;
  }

  get emitted() {
    return state.emitted;
  }

  get kv() {
    return Object.fromEntries([...state.kv].map(([key, value]) => [key, value.val]));
  }
}

/** An event: a `POST` with a JSON body if `json` is given. */
export function event(fields = {}) {
  const headers = pairsOf(fields.headers).map(([name, value]) => [name.toLowerCase(), value]);
  if (fields.json !== undefined) headers.push(["content-type", "application/json"]);
  const attributes = { "verified-by": "none", "verified-by-scheme": "none", ...fields.attributes };
  for (const [name, value] of Object.entries(fields.params ?? {})) attributes[`param:${name}`] = value;
  return new Event({
    id: fields.id ?? "019c1234-5678-7abc-8def-0123456789ab",
    hook: fields.hook ?? "test",
    attempt: fields.attempt ?? 1,
    receivedAt: fields.receivedAt ?? "2026-01-31T08:15:30.123Z",
    provider: fields.provider ?? null,
    eventType: fields.eventType ?? null,
    deliveryId: fields.deliveryId ?? null,
    method: fields.method ?? "POST",
    path: fields.path ?? "/test",
    query: fields.query ?? null,
    headers,
    body: payloadOf(fields.json === undefined ? (fields.body ?? "") : JSON.stringify(fields.json), "the body of an event"),
    attributes: Object.entries(attributes),
  });
}

/** Runs a handler as a component does: `console` and `fetch` belong to the fake host, and what it throws is an outcome. */
export async function run(handler, event) {
  const own = Object.fromEntries(["console", "fetch", "Headers", "Response"].map((name) => [name, globalThis[name]]));
  Object.assign(globalThis, { console: makeConsole(), fetch, Headers, Response });
  try {
    const raw = rawReply(await handler(event));
    return { outcome: "done", reply: raw && new TestReply(raw) };
  } catch (thrown) {
    const { tag, val } = failureOf(thrown);
    const outcome = { outcome: tag, reason: val.reason, error: thrown };
    if (val.afterS != null) outcome.afterSeconds = val.afterS;
    if (val.reply) outcome.reply = new TestReply(val.reply);
    return outcome;
  } finally {
    Object.assign(globalThis, own);
  }
}

class TestReply {
  #payload;

  constructor(raw) {
    this.status = raw.status;
    this.headers = Object.fromEntries(raw.headers.map(([name, value]) => [name.toLowerCase(), value]));
    this.#payload = raw.body;
  }

  text() {
    return lossyTextOf(this.#payload);
  }

  bytes() {
    return bytesOf(this.#payload);
  }

  json() {
    return JSON.parse(this.text());
  }
}
