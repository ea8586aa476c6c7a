// `structuredClone` of what handlers have: plain objects, arrays, maps, sets, dates, bytes and errors, also with cycles.

export function cloned(value, seen = new Map()) {
  if (typeof value === "function" || typeof value === "symbol") {
    throw new DOMException(`${String(value)} cannot be cloned`, "DataCloneError");
  }
  if (value === null || typeof value !== "object") return value;
  if (seen.has(value)) return seen.get(value);

  const keep = (copy) => {
    seen.set(value, copy);
    return copy;
  };
  if (Array.isArray(value)) {
    const copy = keep(new Array(value.length));
    value.forEach((item, at) => {
      copy[at] = cloned(item, seen);
    });
    return copy;
  }
  if (value instanceof Date) return keep(new Date(value));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) return keep(value.slice());
  if (ArrayBuffer.isView(value)) {
    const bytes = cloned(value.buffer, seen);
    const length = value instanceof DataView ? value.byteLength : value.length;
    return keep(new value.constructor(bytes, value.byteOffset, length));
  }
  if (value instanceof Map) {
    const copy = keep(new Map());
    for (const [key, item] of value) copy.set(cloned(key, seen), cloned(item, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = keep(new Set());
    for (const item of value) copy.add(cloned(item, seen));
    return copy;
  }
  if (value instanceof Error) {
    const copy = keep(new Error(value.message));
    copy.name = value.name;
    copy.stack = value.stack;
    if ("cause" in value) copy.cause = cloned(value.cause, seen);
    return copy;
  }
  const copy = keep({});
  for (const [key, item] of Object.entries(value)) copy[key] = cloned(item, seen);
  return copy;
}
