// The map that the component carries: for each place of the bundle a file and a line of the author. `lib/trace.js` reads it.

import path from "node:path";
import { segmentsOf } from "../lib/trace.js";

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Of packages, the start of each line is kept. Of the SDK, nothing is: its frames are left out of a stack. */
export function compactMap(map, { folder, sdk, file }) {
  const sources = map.sources.map((source) => sourceName(path.resolve(path.dirname(file), source), folder, sdk));
  const before = { source: 0, line: 0, sourceColumn: 0 };
  const lines = map.mappings.split(";").map((text) => {
    const segments = segmentsOf(text, before);
    return encoded(segments.filter((one, at) => at === 0 || isAuthors(sources[one.source]) || isEdge(segments, at)));
  });
  return { sources, mappings: lines.join(";").replace(/;+$/, "") };
}

/** One line, whose numbers do not depend on the line before. */
function encoded(segments) {
  let last = { column: 0, source: 0, line: 0, sourceColumn: 0 };
  return segments
    .map((segment) => {
      const numbers = ["column", "source", "line", "sourceColumn"].map((key) => segment[key] - last[key]);
      last = segment;
      return numbers.map(vlq).join("");
    })
    .join(",");
}

const isAuthors = (name) => name !== "" && !name.includes("node_modules/");
const isEdge = (segments, at) => segments[at - 1].source !== segments[at].source;

function sourceName(file, folder, sdk) {
  if (file.startsWith(sdk + path.sep) || file.endsWith("landfall-entry.js")) return "";
  return path.relative(folder, file).split(path.sep).join("/");
}

function vlq(number) {
  let rest = number < 0 ? (-number << 1) | 1 : number << 1;
  let text = "";
  do {
    const digit = rest & 31;
    rest >>>= 5;
    text += BASE64[rest > 0 ? digit | 32 : digit];
  } while (rest > 0);
  return text;
}
