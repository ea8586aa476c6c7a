// Stack traces that name the author's files. The build writes `__landfall_map` behind the bundle: a source map with only what is needed
// here.

const FRAMES_MAX = 10;
const CAUSES_MAX = 5;
/** The errors of one `AggregateError`, and how deep they are nested. */
const TOGETHER_MAX = 5;
const TOGETHER_DEPTH_MAX = 2;

/** An error as text: name, message, where it was thrown, the frames of the author's files, and its causes. */
export function described(error) {
  try {
    return error == null ? `${error} was thrown` : chain(error);
  } catch {
    return "an error that cannot be printed was thrown";
  }
}

function chain(error, together = 0) {
  const lines = [];
  let next = error;
  for (let depth = 0; next != null && depth < CAUSES_MAX; depth += 1) {
    const prefix = depth === 0 ? "" : "caused by ";
    if (!(next instanceof Error)) {
      lines.push(`${prefix}${thrownText(next)}`);
      break;
    }
    const frames = framesOf(next);
    const place = frames.length > 0 ? ` (${frames[0].place})` : "";
    lines.push(`${prefix}${headline(next)}${place}`);
    for (const frame of frames) lines.push(`    at ${frame.name ? `${frame.name} (${frame.place})` : frame.place}`);
    if (next instanceof AggregateError && together < TOGETHER_DEPTH_MAX) lines.push(...members(next.errors, together + 1));
    next = next.cause;
  }
  return lines.join("\n");
}

/** The errors of an `AggregateError`, such as that of `Promise.any`. */
function members(errors, together) {
  const count = errors.length;
  return Array.from(errors).slice(0, TOGETHER_MAX).map((error, at) => {
    return `${at + 1} of ${count}: ${error == null ? String(error) : chain(error, together)}`;
  });
}

function headline(error) {
  const name = error.name || error.constructor?.name || "Error";
  const kind = typeof error.kind === "string" ? ` (${error.kind})` : "";
  return error.message ? `${name}${kind}: ${error.message}` : `${name}${kind}`;
}

/** A value that is thrown and is no error. */
export function thrownText(value) {
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** The frames of the author's files, and of packages that they use. */
function framesOf(error) {
  const frames = [];
  for (const line of String(error.stack ?? "").split("\n")) {
    const found = /^\s*at (?:(?:async )?(.*?) \()?(.*):(\d+):(\d+)\)?$/.exec(line);
    if (!found) continue;
    const place = placeOf(found[2], Number(found[3]), Number(found[4]));
    if (!place) continue;
    const name = found[1] === "<anonymous>" ? "" : found[1];
    frames.push({ name, place });
    if (frames.length === FRAMES_MAX) break;
  }
  return frames;
}

function placeOf(file, line, column) {
  const map = globalThis.__landfall_map;
  // A native test: the file is the author's own, unless it is part of Node or of the SDK.
  if (!map) {
    if (/^node:|[\\/]landfall-sdk[\\/]lib[\\/]|[\\/]sdk[\\/]js[\\/]lib[\\/]/.test(file)) return undefined;
    return `${file.replace(/^file:\/\//, "")}:${line}:${column}`;
  }
  if (!file.endsWith("user.js")) return undefined;
  map.lines ??= map.mappings.split(";");
  return placeIn(map, line, column);
}

/** The author's file, line and column of a place of the bundle; `undefined` of the SDK. Both begin at 1. */
export function placeIn(map, line, column) {
  const segments = segmentsOf(map.lines[line - 1] ?? "");
  let found = segments[0];
  for (const segment of segments) {
    if (segment.column > column - 1) break;
    found = segment;
  }
  const source = found && map.sources[found.source];
  return source ? `${source}:${found.line + 1}:${found.sourceColumn + 1}` : undefined;
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * The segments of one line of `mappings`. In a source map, `before` goes from line to line. The map of the build begins anew in each line, so
 * that an error needs to decode only its own lines.
 */
export function segmentsOf(text, before = { source: 0, line: 0, sourceColumn: 0 }) {
  let column = 0;
  const segments = [];
  for (const segment of text === "" ? [] : text.split(",")) {
    const numbers = vlq(segment);
    column += numbers[0];
    if (numbers.length < 4) continue;
    before.source += numbers[1];
    before.line += numbers[2];
    before.sourceColumn += numbers[3];
    segments.push({ column, ...before });
  }
  return segments;
}

function vlq(text) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (const character of text) {
    const digit = BASE64.indexOf(character);
    value += (digit & 31) << shift;
    if (digit & 32) {
      shift += 5;
      continue;
    }
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return numbers;
}
