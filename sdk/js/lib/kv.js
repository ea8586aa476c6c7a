// Values that the host stores for the hook. Needs `[allow] kv = true`. Writes are kept if the attempt succeeds.

import * as host from "#host/kv";
import { calling, CapabilityError } from "./failure.js";
import { inHandler } from "./phase.js";
import { bytesOf, jsonText, payloadOf, textOf, wholeSeconds } from "./payload.js";

export { CapabilityError } from "./failure.js";

function call(work) {
  inHandler("a function of kv");
  return calling(CapabilityError, work);
}

function stored(key) {
  return call(() => host.get(key)) ?? undefined;
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
  const payload = payloadOf(value, "a value of kv");
  call(() => host.set(key, payload, expiry(options)));
}

export function setJson(key, value, options = {}) {
  set(key, jsonText(value, "the value of kv.setJson"), options);
}

function remove(key) {
  call(() => host.delete(key));
}

export { remove as delete };

export function listKeys(prefix = "", options = {}) {
  return call(() => host.listKeys(prefix, options.after, options.limit ?? 1000));
}

export function compareAndSet(key, expected, value, options = {}) {
  const before = expected == null ? undefined : payloadOf(expected, "the expected value");
  const payload = payloadOf(value, "a value of kv");
  return call(() => host.compareAndSet(key, before, payload, expiry(options)));
}

export function increment(key, by = 1, options = {}) {
  return call(() => host.increment(key, by, expiry(options)));
}

function expiry(options) {
  return wholeSeconds(options.expiresInSeconds, "expiresInSeconds");
}
