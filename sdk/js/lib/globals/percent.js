// Percent-encoding of the parts of a URL: https://url.spec.whatwg.org/#percent-encoded-bytes.

export const C0 = "";
export const FRAGMENT = ' "<>`';
export const QUERY = ' "#<>';
export const SPECIAL_QUERY = `${QUERY}'`;
export const PATH = `${QUERY}?^\`{}`;
export const USERINFO = `${PATH}/:;=@[\\]|`;

/** Encodes control characters, what is not ASCII, and the characters of a set. */
export function percentEncoded(text, set) {
  if (!/[^\x21-\x7e]/.test(text) && ![...set].some((character) => text.includes(character))) return text;
  let out = "";
  for (const byte of new TextEncoder().encode(text)) {
    const character = String.fromCharCode(byte);
    const isPlain = byte > 0x1f && byte < 0x7f && !set.includes(character);
    out += isPlain ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

/** The bytes of a text whose percent-encoding is undone, as UTF-8. */
export function percentDecoded(text) {
  const bytes = new TextEncoder().encode(text);
  const out = [];
  for (let at = 0; at < bytes.length; at += 1) {
    const hex = bytes[at] === 0x25 ? String.fromCharCode(bytes[at + 1] ?? 0, bytes[at + 2] ?? 0) : "";
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      out.push(Number.parseInt(hex, 16));
      at += 2;
    } else out.push(bytes[at]);
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(out));
}
