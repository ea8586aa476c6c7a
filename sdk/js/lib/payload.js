// A body or a value: the `payload` of the contract is text or bytes. Authors see strings and `Uint8Array`.

// The engine ends the component if it is given another type than the contract has, or text with half of a surrogate pair, which JSON can
// have. So everything is checked here first.

/** Text for the host. */
export function textFor(value, what) {
  if (typeof value !== "string") throw new TypeError(`${what} is text, not ${kindOf(value)}`);
  return value.toWellFormed();
}

/** Text for the host that may be left out. */
export function optionalText(value, what) {
  return value == null ? undefined : textFor(value, what);
}

/** A whole number for the host. */
export function wholeFor(value, what, least = 0, most = 0xffffffff) {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const given = typeof value === "number" ? value : kindOf(value);
  throw new TypeError(`${what} is a whole number from ${least} to ${most}, not ${given}`);
}

/** Pairs of text for the host. */
export function rawPairs(pairs) {
  return pairs.map(([name, value]) => [name.toWellFormed(), value.toWellFormed()]);
}

/** A time in milliseconds for the host, rounded up. */
export function milliseconds(value) {
  return value == null ? undefined : wholeFor(Math.ceil(value), "a time in milliseconds", 1);
}

/** The payload of a string or of bytes. */
export function payloadOf(value, what) {
  if (typeof value === "string") return { tag: "text", val: value.toWellFormed() };
  if (value instanceof Uint8Array) return { tag: "binary", val: value };
  if (value instanceof ArrayBuffer) return { tag: "binary", val: new Uint8Array(value) };
  if (ArrayBuffer.isView(value)) {
    return { tag: "binary", val: new Uint8Array(value.buffer, value.byteOffset, value.byteLength) };
  }
  throw new TypeError(`${what} is text or bytes, not ${kindOf(value)}`);
}

/** The text of a payload; `undefined` if its bytes are not UTF-8. */
export function textOf(payload) {
  if (payload.tag === "text") return payload.val;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload.val);
  } catch {
    return undefined;
  }
}

/** The text of a payload, with U+FFFD for what is not UTF-8. */
export function lossyTextOf(payload) {
  return payload.tag === "text" ? payload.val : new TextDecoder("utf-8", { ignoreBOM: true }).decode(payload.val);
}

export function bytesOf(payload) {
  return payload.tag === "text" ? new TextEncoder().encode(payload.val) : payload.val;
}

/** The text of a JSON document. Values that JSON has no form for are named. */
export function jsonText(value, what) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${what} is JSON, not ${kindOf(value)}`);
  return text.includes("\\ud") ? withoutHalfPairs(text) : text;
}

/** JSON with U+FFFD for half of a surrogate pair, which `JSON.stringify` escapes and the host refuses. */
function withoutHalfPairs(json) {
  return json.replace(/\\(?:u(d[89a-f][0-9a-f]{2})|.)/g, (escaped, half) => (half ? "\ufffd" : escaped));
}

/** Of a value of the wrong type, for an error. */
export function kindOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return `an object of the class ${value.constructor?.name ?? "null"}`;
  return typeof value === "undefined" ? "undefined" : `a ${typeof value}`;
}

/** Seconds as the contract has them: whole, rounded up. `undefined` stays. */
export function wholeSeconds(seconds, what) {
  if (seconds == null) return undefined;
  if (typeof seconds !== "number" || !(seconds >= 0)) {
    throw new TypeError(`${what} is a number of seconds, not ${String(seconds)}`);
  }
  return Math.min(Math.ceil(seconds), 0xffffffff);
}
