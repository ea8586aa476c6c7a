// The text fields of a form, of either content type. The Rust SDK reads the same forms.

import { bytesOf, textOf } from "./payload.js";

/** Names and values in their order, without files; `undefined` if the body is not a form. */
export function formFields(contentType, payload) {
  const essence = contentType.split(";")[0].trim().toLowerCase();
  if (essence === "application/x-www-form-urlencoded") {
    return [...new URLSearchParams(textOf(payload) ?? "")];
  }
  if (essence === "multipart/form-data") {
    const boundary = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
    return boundary ? multipart(boundary[1] ?? boundary[2], payload) : undefined;
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

  const parts = body.split(`\r\n--${boundary}`).slice(1);
  const fields = [];
  for (const part of parts) {
    if (part.startsWith("--")) return fields;
    const end = part.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const disposition = /^content-disposition:(.*)$/im.exec(part.slice(0, end))?.[1] ?? "";
    const name = /;\s*name=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(disposition);
    const isFile = /;\s*filename\*?=/i.test(disposition);
    const value = textOf({ tag: "binary", val: bytesOfCharacters(part.slice(end + 4)) });
    if (name && !isFile && value !== undefined) {
      const raw = (name[1] ?? name[2]).replace(/\\(.)/g, "$1");
      fields.push([textOf({ tag: "binary", val: bytesOfCharacters(raw) }) ?? raw, value]);
    }
  }
  // The last boundary is missing: the body was cut.
  return undefined;
}

function bytesOfCharacters(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
