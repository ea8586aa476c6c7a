import { textOf } from "../payload.js";
import { state } from "./state.js";

/** A payload as a host returns it: valid UTF-8 is text. */
function payload(stored) {
  const text = stored && textOf(stored);
  return text === undefined ? stored : { tag: "text", val: text };
}

function isSame(one, other) {
  const [a, b] = [payload(one), payload(other)];
  return a?.tag === b?.tag && String(a?.val) === String(b?.val);
}

export function get(key) {
  return payload(state.kv.get(key)) ?? null;
}

export function set(key, value) {
  state.kv.set(key, value);
}

function remove(key) {
  state.kv.delete(key);
}

export { remove as delete };

export function listKeys(prefix, after, limit) {
  const keys = [...state.kv.keys()].filter((key) => key.startsWith(prefix) && (after == null || key > after));
  return keys.sort().slice(0, limit);
}

export function compareAndSet(key, expected, value) {
  if (!isSame(state.kv.get(key), expected ?? undefined)) return false;
  state.kv.set(key, value);
  return true;
}

export function increment(key, by) {
  const sum = Number(get(key)?.val ?? 0) + by;
  state.kv.set(key, { tag: "text", val: String(sum) });
  return sum;
}
