// Hosts of URLs: names, IPv4 and IPv6 addresses. https://url.spec.whatwg.org/#host-parsing

import { C0, percentDecoded, percentEncoded } from "./percent.js";

const FORBIDDEN = /[\0\t\n\r #/:<>?@[\\\]^|]/;
const FORBIDDEN_IN_DOMAIN = /[\0-\x20"#%/:<>?@[\\\]^`{|}\x7f]/;

/** The serialised host; `undefined` if it is invalid. */
export function hostOf(text, isSpecial) {
  if (text.startsWith("[")) return text.endsWith("]") ? ipv6(text.slice(1, -1)) : undefined;
  if (!isSpecial) return FORBIDDEN.test(text) ? undefined : percentEncoded(text, C0);

  const domain = asciiDomain(percentDecoded(text));
  if (!domain || FORBIDDEN_IN_DOMAIN.test(domain)) return undefined;
  return endsInNumber(domain) ? ipv4(domain) : domain;
}

function asciiDomain(domain) {
  // The soft hyphen is ignored; the ideographic full stops are dots.
  const mapped = domain.normalize("NFKC").toLowerCase().normalize("NFC").replace(/\u00ad/g, "").replace(/[\u3002\uff0e\uff61]/g, ".");
  const labels = mapped.split(".").map((label) => {
    if (/^[\0-\x7f]*$/.test(label)) return label;
    return `xn--${punycode(label)}`;
  });
  return labels.join(".");
}

/** RFC 3492. */
function punycode(label) {
  const codes = Array.from(label, (character) => character.codePointAt(0));
  let out = codes.filter((code) => code < 0x80).map((code) => String.fromCharCode(code)).join("");
  const basic = out.length;
  let handled = basic;
  if (basic > 0) out += "-";

  let next = 128;
  let delta = 0;
  let bias = 72;
  while (handled < codes.length) {
    const least = Math.min(...codes.filter((code) => code >= next));
    delta += (least - next) * (handled + 1);
    next = least;
    for (const code of codes) {
      if (code < next) delta += 1;
      if (code !== next) continue;
      let rest = delta;
      for (let k = 36; ; k += 36) {
        const threshold = Math.min(26, Math.max(1, k - bias));
        if (rest < threshold) break;
        out += digit(threshold + ((rest - threshold) % (36 - threshold)));
        rest = Math.floor((rest - threshold) / (36 - threshold));
      }
      out += digit(rest);
      bias = adapted(delta, handled + 1, handled === basic);
      delta = 0;
      handled += 1;
    }
    delta += 1;
    next += 1;
  }
  return out;
}

const digit = (value) => String.fromCharCode(value < 26 ? 97 + value : 22 + value);

function adapted(delta, count, isFirst) {
  let rest = isFirst ? Math.floor(delta / 700) : delta >> 1;
  rest += Math.floor(rest / count);
  let k = 0;
  for (; rest > 455; k += 36) rest = Math.floor(rest / 35);
  return k + Math.floor((36 * rest) / (rest + 38));
}

function endsInNumber(domain) {
  const labels = domain.split(".");
  if (labels.at(-1) === "" && labels.length > 1) labels.pop();
  const last = labels.at(-1);
  return /^\d+$/.test(last) || /^0[xX][0-9a-fA-F]*$/.test(last);
}

function ipv4(domain) {
  const labels = domain.split(".");
  if (labels.at(-1) === "" && labels.length > 1) labels.pop();
  if (labels.length > 4) return undefined;

  const numbers = labels.map((label) => {
    if (/^0[xX][0-9a-fA-F]*$/.test(label)) return label.length === 2 ? 0 : Number.parseInt(label.slice(2), 16);
    if (/^0[0-7]+$/.test(label)) return Number.parseInt(label, 8);
    return /^(?:0|[1-9]\d*)$/.test(label) ? Number(label) : Number.NaN;
  });
  const last = numbers.pop();
  if (numbers.some((number) => !(number <= 255)) || !(last < 256 ** (4 - numbers.length))) return undefined;

  const address = numbers.reduce((sum, number, at) => sum + number * 256 ** (3 - at), last);
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

function ipv6(text) {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const pieces = halves.map(piecesOf);
  if (pieces.includes(undefined)) return undefined;

  const missing = 8 - pieces.flat().length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const all = halves.length === 1 ? pieces[0] : [...pieces[0], ...new Array(missing).fill(0), ...pieces[1]];
  if (halves.length === 2 && halves[0].includes(".")) return undefined;
  return `[${compressed(all)}]`;
}

function piecesOf(text) {
  if (text === "") return [];
  const pieces = [];
  const parts = text.split(":");
  for (const [at, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) pieces.push(Number.parseInt(part, 16));
    else if (at === parts.length - 1 && /^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/.test(part)) {
      const bytes = part.split(".").map(Number);
      if (bytes.some((byte) => byte > 255)) return undefined;
      pieces.push(bytes[0] * 256 + bytes[1], bytes[2] * 256 + bytes[3]);
    } else return undefined;
  }
  return pieces;
}

/** The longest run of at least two zeros is written as `::`. */
function compressed(pieces) {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (pieces[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  const hex = pieces.map((piece) => piece.toString(16));
  if (best.start < 0) return hex.join(":");
  return `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}
