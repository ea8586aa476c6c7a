// The text fields of a form, of either content type. The Rust SDK reads the same forms.

import { bytesOf, lossyTextOf, textOf } from "./payload.js";

const BOUNDARY_MAX = 70;

/** Names and values in their order, without files; `undefined` if the body is not a form. */
export function formFields(contentType, payload) {
  const essence = contentType.split(";")[0].trim().toLowerCase();
  if (essence === "application/x-www-form-urlencoded") {
    return [...new URLSearchParams(lossyTextOf(payload))];
  }
  if (essence === "multipart/form-data") {
    const found = /;\s*boundary=(?:"([^"]+)"|([^;\s"]+))/i.exec(contentType);
    const boundary = found?.[1] ?? found?.[2];
    return boundary && boundary.length <= BOUNDARY_MAX ? multipart(boundary, payload) : undefined;
  }
  return undefined;
}

/** Works on text with one character for each byte, so that a file which is not UTF-8 does no harm. */
function multipart(boundary, payload) {
  const bytes = bytesOf(payload);
  let body = "\r\n";
  for (let at = 0; at < bytes.length; at += 4096) {
    body += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }

  const fields = [];
  for (const part of body.split(`\r\n--${boundary}`).slice(1)) {
    if (part.startsWith("--")) return fields;
    const end = part.indexOf("\r\n\r\n");
    if (end < 0 || !/^[ \t]*\r\n/.test(part)) return undefined;
    const field = fieldOf(part.slice(0, end), part.slice(end + 4));
    if (field) fields.push(field);
  }
  // The last boundary is missing: the body was cut.
  return undefined;
}

/** Name and value of a part; `undefined` of a file. */
function fieldOf(head, value) {
  const disposition = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? "";
  if (/;\s*filename\*?=/i.test(disposition.replace(/"(?:[^"\\]|\\.)*"/g, '""'))) return undefined;
  const name = /;\s*name=(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))/i.exec(disposition);
  if (!name) return undefined;
  const pair = [(name[1] ?? name[2]).replace(/\\(.)/g, "$1"), value].map((text) =>
    textOf({ tag: "binary", val: bytesOfCharacters(text) }),
  );
  return pair.includes(undefined) ? undefined : pair;
}

function bytesOfCharacters(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
