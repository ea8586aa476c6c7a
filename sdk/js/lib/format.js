// Values as text, for log lines: `console.log("%d of", 3, { a: 1 })`.

import { described } from "./trace.js";

const DEPTH_MAX = 4;
const ITEMS_MAX = 100;
const LINE_MAX = 72;

/** The text of the arguments of `console.log`. A line of the log is never a reason to fail. */
export function format(values) {
  try {
    return formatted(values).toWellFormed();
  } catch (error) {
    return `values that cannot be printed: ${described(error)}`;
  }
}

function formatted(values) {
  if (typeof values[0] !== "string" || values.length === 1) return values.map(plain).join(" ");
  const rest = values.slice(1);
  const text = values[0].replace(/%[sdifjoOc%]/g, (directive) => {
    if (directive === "%%") return "%";
    if (rest.length === 0) return directive;
    return substituted(directive, rest.shift());
  });
  return [text, ...rest.map(plain)].join(" ");
}

function substituted(directive, value) {
  switch (directive) {
    case "%s":
      return plain(value);
    case "%d":
      return String(Number(value));
    case "%i":
      return String(Number.parseInt(value, 10));
    case "%f":
      return String(Number.parseFloat(value));
    case "%j":
      return JSON.stringify(value);
    case "%c":
      return "";
    default:
      return inspect(value);
  }
}

function plain(value) {
  return typeof value === "string" ? value : inspect(value);
}

/** A value as source code shows it, in few lines. */
export function inspect(value, depth = 0, above = []) {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "symbol":
      return value.toString();
    case "function":
      return `[function ${value.name || "(anonymous)"}]`;
    case "object":
      return value === null ? "null" : inspectObject(value, depth, above);
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}

function inspectObject(value, depth, above) {
  if (value instanceof Error) return described(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (above.includes(value)) return "[circular]";
  if (depth >= DEPTH_MAX) return Array.isArray(value) ? "[array]" : "[object]";

  const within = [...above, value];
  const shown = (item) => inspect(item, depth + 1, within);
  const name = value.constructor?.name;
  const prefix = name && name !== "Object" && name !== "Array" ? `${name} ` : "";

  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    return prefix + list("[", Array.from(value).slice(0, ITEMS_MAX + 1).map(shown), "]", value.length, depth);
  }
  if (value instanceof Map) {
    const items = [...value].map(([key, item]) => `${shown(key)} => ${shown(item)}`);
    return prefix + list("{", items, "}", value.size, depth);
  }
  if (value instanceof Set) return prefix + list("{", [...value].map(shown), "}", value.size, depth);

  const keys = Object.keys(value);
  const items = keys.slice(0, ITEMS_MAX + 1).map((key) => {
    const isPlain = /^[A-Za-z_$][\w$]*$/.test(key);
    return `${isPlain ? key : JSON.stringify(key)}: ${shown(value[key])}`;
  });
  return prefix + list("{", items, "}", keys.length, depth);
}

function list(open, items, close, count, depth) {
  const shown = items.slice(0, ITEMS_MAX);
  if (count > ITEMS_MAX) shown.push(`… ${count - ITEMS_MAX} more`);
  if (shown.length === 0) return open + close;

  const pad = open === "{" ? " " : "";
  const line = `${open}${pad}${shown.join(", ")}${pad}${close}`;
  if (line.length <= LINE_MAX && !line.includes("\n")) return line;
  const indent = "  ".repeat(depth + 1);
  return `${open}\n${shown.map((item) => indent + item).join(",\n")}\n${"  ".repeat(depth)}${close}`;
}
