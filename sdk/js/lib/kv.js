// Values that the host stores for the hook. Needs `[allow] kv = true`. Writes are kept if the attempt succeeds.

import * as host from "#host/kv";
import { calling, CapabilityError } from "./failure.js";
import { inHandler } from "./phase.js";
import { bytesOf, jsonText, optionalText, payloadOf, textFor, textOf, wholeFor, wholeSeconds } from "./payload.js";

export { CapabilityError } from "./failure.js";

function call(work) {
  inHandler("a function of kv");
  return calling(CapabilityError, work);
}

const keyFor = (key) => textFor(key, "a key of kv");

function stored(key) {
  const text = keyFor(key);
  return call(() => host.get(text)) ?? undefined;
}

export function get(key) {
  const payload = stored(key);
  const text = payload && textOf(payload);
  if (payload && text === undefined) throw new TypeError(`the value of "${key}" is not text: use kv.getBytes`);
  return text;
}

export function getBytes(key) {
  const payload = stored(key);
  return payload && bytesOf(payload);
}

export function getJson(key) {
  const text = get(key);
  return text === undefined ? undefined : JSON.parse(text);
}

export function set(key, value, options = {}) {
  const words = [keyFor(key), payloadOf(value, "a value of kv"), expiry(options)];
  call(() => host.set(...words));
}

export function setJson(key, value, options = {}) {
  set(key, jsonText(value, "the value of kv.setJson"), options);
}

function remove(key) {
  const text = keyFor(key);
  call(() => host.delete(text));
}

export { remove as delete };

export function listKeys(prefix = "", options = {}) {
  const after = optionalText(options.after, "`after` of kv.listKeys");
  const limit = wholeFor(options.limit ?? 1000, "`limit` of kv.listKeys");
  const text = textFor(prefix, "a prefix of kv");
  return call(() => host.listKeys(text, after, limit));
}

export function compareAndSet(key, expected, value, options = {}) {
  const before = expected == null ? undefined : payloadOf(expected, "the expected value");
  const words = [keyFor(key), before, payloadOf(value, "a value of kv"), expiry(options)];
  return call(() => host.compareAndSet(...words));
}

export function increment(key, by = 1, options = {}) {
  const words = [keyFor(key), wholeFor(by, "an increment", -0x80000000, 0x7fffffff), expiry(options)];
  return call(() => host.increment(...words));
}

function expiry(options) {
  return wholeSeconds(options.expiresInSeconds, "expiresInSeconds");
}
