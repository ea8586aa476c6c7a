// URL, as https://url.spec.whatwg.org/ describes it. Names of hosts outside ASCII are lower-cased and normalised before Punycode; the
// rarer mappings of IDNA are not applied.

import { hostOf } from "./host.js";
import { PATH, percentEncoded, QUERY, FRAGMENT, SPECIAL_QUERY, USERINFO, C0 } from "./percent.js";
import { URLSearchParams } from "./search_params.js";

const PORTS = { "http:": 80, "https:": 443, "ws:": 80, "wss:": 443, "ftp:": 21, "file:": null };
const isSpecial = (protocol) => protocol in PORTS;
const isDrive = (text) => /^[A-Za-z][:|]$/.test(text);
const startsWithDrive = (text) => /^[A-Za-z][:|](?:[/\\?#]|$)/.test(text);

class Invalid extends Error {}

/** The parts of a URL; `base` are the parts of another one, for a relative reference. */
function parse(input, base) {
  const text = input.replace(/^[\0-\x20]+|[\0-\x20]+$/g, "").replace(/[\t\n\r]/g, "");
  const [beforeFragment, fragment] = cut(text, "#");
  const parts = { protocol: "", username: "", password: "", host: null, port: null, path: [], query: null, fragment: null };
  parts.fragment = fragment === null ? null : percentEncoded(fragment, FRAGMENT);

  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(beforeFragment);
  if (scheme) {
    parts.protocol = `${scheme[1].toLowerCase()}:`;
    const rest = beforeFragment.slice(scheme[0].length);
    if (parts.protocol === "file:") return fileParts(parts, rest, base?.protocol === "file:" ? base : undefined);
    if (isSpecial(parts.protocol)) {
      const isRelative = base?.protocol === parts.protocol && !/^[/\\]{2}/.test(rest);
      return isRelative ? relativeParts(parts, rest, base) : authorityParts(parts, rest.replace(/^[/\\]*/, ""));
    }
    if (rest.startsWith("//")) return authorityParts(parts, rest.slice(2));
    if (rest.startsWith("/")) return withPath(parts, rest);
    const [path, query] = cut(rest, "?");
    parts.path = percentEncoded(path, C0);
    parts.query = query === null ? null : percentEncoded(query, QUERY);
    return parts;
  }

  if (!base) throw new Invalid();
  if (typeof base.path === "string") {
    if (!text.startsWith("#")) throw new Invalid();
    return { ...base, fragment: parts.fragment };
  }
  parts.protocol = base.protocol;
  return base.protocol === "file:" ? fileParts(parts, beforeFragment, base) : relativeParts(parts, beforeFragment, base);
}

function cut(text, at) {
  const index = text.indexOf(at);
  return index < 0 ? [text, null] : [text.slice(0, index), text.slice(index + 1)];
}

const slashes = (parts) => (isSpecial(parts.protocol) ? /[/\\]/ : /\//);

function relativeParts(parts, rest, base) {
  const slash = slashes(parts);
  if (slash.test(rest[0] ?? "") && slash.test(rest[1] ?? "")) {
    const authority = isSpecial(parts.protocol) ? rest.replace(/^[/\\]*/, "") : rest.slice(2);
    return authorityParts(parts, authority);
  }
  const { username, password, host, port } = base;
  Object.assign(parts, { username, password, host, port });
  return relativePath(parts, rest, base, slash);
}

function relativePath(parts, rest, base, slash) {
  if (slash.test(rest[0] ?? "")) return withPath(parts, rest);
  parts.path = [...base.path];
  if (rest === "") {
    parts.query = base.query;
    return parts;
  }
  if (rest.startsWith("?")) return withQuery(parts, rest.slice(1));
  shorten(parts);
  return withPath(parts, rest);
}

function authorityParts(parts, text) {
  const end = text.search(isSpecial(parts.protocol) ? /[/\\?]/ : /[/?]/);
  const authority = end < 0 ? text : text.slice(0, end);
  const rest = end < 0 ? "" : text.slice(end);

  const at = authority.lastIndexOf("@");
  if (at >= 0) {
    const [username, password] = cut(authority.slice(0, at), ":");
    parts.username = percentEncoded(username, USERINFO);
    parts.password = percentEncoded(password ?? "", USERINFO);
  }
  const hostAndPort = authority.slice(at + 1);
  if (at >= 0 && hostAndPort === "") throw new Invalid();
  setHostAndPort(parts, hostAndPort);
  return withPath(parts, rest);
}

function setHostAndPort(parts, text) {
  const found = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(text);
  if (!found) throw new Invalid();
  const [, host, port] = found;
  if (host === "" && (isSpecial(parts.protocol) || port !== undefined)) throw new Invalid();
  parts.host = hostFor(parts, host);
  parts.port = port ? portOf(port, parts.protocol) : null;
}

function hostFor(parts, text) {
  const host = text === "" ? "" : hostOf(text, isSpecial(parts.protocol));
  if (host === undefined) throw new Invalid();
  return host;
}

function portOf(text, protocol) {
  if (!/^\d+$/.test(text) || Number(text) > 65535) throw new Invalid();
  return Number(text) === PORTS[protocol] ? null : Number(text);
}

function fileParts(parts, rest, base) {
  parts.host = "";
  const isSlash = (at) => /[/\\]/.test(rest[at] ?? "");
  if (isSlash(0) && isSlash(1)) {
    const end = rest.slice(2).search(/[/\\?]/);
    const host = end < 0 ? rest.slice(2) : rest.slice(2, end + 2);
    if (isDrive(host)) return withPath(parts, rest.slice(2));
    const found = hostFor(parts, host);
    parts.host = found === "localhost" ? "" : found;
    return withPath(parts, end < 0 ? "" : rest.slice(end + 2));
  }
  if (isSlash(0)) {
    if (base) {
      parts.host = base.host;
      if (!startsWithDrive(rest.slice(1)) && /^[A-Za-z]:$/.test(base.path[0] ?? "")) parts.path.push(base.path[0]);
    }
    return withPath(parts, rest);
  }
  if (!base) return withPath(parts, rest);
  parts.host = base.host;
  if (startsWithDrive(rest)) return withPath(parts, rest);
  return relativePath(parts, rest, base, /[/\\]/);
}

function withQuery(parts, query) {
  parts.query = percentEncoded(query, isSpecial(parts.protocol) ? SPECIAL_QUERY : QUERY);
  return parts;
}

/** Adds segments, with `.` and `..` applied, and the query behind them. */
function withPath(parts, text) {
  const [path, query] = cut(text, "?");
  if (query !== null) withQuery(parts, query);
  if (path === "" && !isSpecial(parts.protocol)) return parts;

  const slash = slashes(parts);
  const segments = (slash.test(path[0] ?? "") ? path.slice(1) : path).split(slash);
  segments.forEach((segment, at) => {
    const isLast = at === segments.length - 1;
    const plain = segment.replace(/%2e/gi, ".");
    if (plain === "..") {
      shorten(parts);
      if (isLast) parts.path.push("");
    } else if (plain === ".") {
      if (isLast) parts.path.push("");
    } else if (parts.protocol === "file:" && parts.path.length === 0 && isDrive(segment)) {
      parts.path.push(`${segment[0]}:`);
    } else parts.path.push(percentEncoded(segment, PATH));
  });
  return parts;
}

function shorten(parts) {
  const isRoot = parts.protocol === "file:" && parts.path.length === 1 && /^[A-Za-z]:$/.test(parts.path[0]);
  if (!isRoot) parts.path.pop();
}

function pathname(parts) {
  if (typeof parts.path === "string") return parts.path;
  return parts.path.map((segment) => `/${segment}`).join("");
}

function serialized(parts) {
  let text = parts.protocol;
  if (parts.host !== null) {
    text += "//";
    if (parts.username || parts.password) text += `${parts.username}${parts.password ? `:${parts.password}` : ""}@`;
    text += parts.host + (parts.port === null ? "" : `:${parts.port}`);
  } else if (Array.isArray(parts.path) && parts.path.length > 1 && parts.path[0] === "") text += "/.";
  text += pathname(parts);
  if (parts.query !== null) text += `?${parts.query}`;
  if (parts.fragment !== null) text += `#${parts.fragment}`;
  return text;
}

export class URL {
  #parts;
  #params;

  constructor(url, base = undefined) {
    try {
      this.#parts = parse(String(url), base === undefined ? undefined : parse(String(base)));
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      throw new TypeError(`"${url}" is not a valid URL${base === undefined ? "" : ` at "${base}"`}`);
    }
    this.#params = URLSearchParams.of(this.#parts.query ?? "", (query) => {
      this.#parts.query = query === "" ? null : query;
    });
  }

  static canParse(url, base = undefined) {
    return URL.parse(url, base) !== null;
  }

  static parse(url, base = undefined) {
    try {
      return new URL(url, base);
    } catch {
      return null;
    }
  }

  get href() {
    return serialized(this.#parts);
  }
  set href(value) {
    const other = new URL(value);
    this.#parts = other.#parts;
    this.#params.replace(this.#parts.query ?? "");
  }

  get origin() {
    const { protocol } = this.#parts;
    if (protocol === "blob:") return URL.parse(pathname(this.#parts))?.origin ?? "null";
    return isSpecial(protocol) && protocol !== "file:" ? `${protocol}//${this.host}` : "null";
  }

  get protocol() {
    return this.#parts.protocol;
  }
  set protocol(value) {
    const found = /^([A-Za-z][A-Za-z0-9+.-]*)(?::|$)/.exec(String(value));
    const next = found && `${found[1].toLowerCase()}:`;
    if (!next || isSpecial(next) !== isSpecial(this.#parts.protocol)) return;
    const { host, port, username, password, protocol } = this.#parts;
    if (next === "file:" ? username || password || port !== null : protocol === "file:" && host === "") return;
    this.#change((parts) => {
      parts.protocol = next;
      if (parts.port === PORTS[next]) parts.port = null;
    });
  }

  get username() {
    return this.#parts.username;
  }
  set username(value) {
    if (this.#parts.host) this.#parts.username = percentEncoded(String(value), USERINFO);
  }

  get password() {
    return this.#parts.password;
  }
  set password(value) {
    if (this.#parts.host) this.#parts.password = percentEncoded(String(value), USERINFO);
  }

  get host() {
    const { host, port } = this.#parts;
    return host === null ? "" : host + (port === null ? "" : `:${port}`);
  }
  set host(value) {
    const text = String(value).split(isSpecial(this.#parts.protocol) ? /[/\\?#]/ : /[/?#]/)[0];
    const found = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?/.exec(text);
    this.#change((parts) => {
      if (typeof parts.path === "string" || (found[1] === "" && isSpecial(parts.protocol))) return;
      if (parts.protocol === "file:" && found[2] !== undefined) return;
      parts.host = hostFor(parts, found[1]);
      if (found[2]) parts.port = portOf(found[2], parts.protocol);
    });
  }

  get hostname() {
    return this.#parts.host ?? "";
  }
  set hostname(value) {
    const text = String(value).split(isSpecial(this.#parts.protocol) ? /[/\\?#]/ : /[/?#]/)[0];
    if (/^[^[]*:/.test(text)) return;
    this.#change((parts) => {
      if (typeof parts.path === "string" || (text === "" && isSpecial(parts.protocol))) return;
      parts.host = hostFor(parts, text);
    });
  }

  get port() {
    return this.#parts.port === null ? "" : String(this.#parts.port);
  }
  set port(value) {
    const text = String(value);
    const digits = /^\d+/.exec(text)?.[0];
    if (!this.#parts.host || this.#parts.protocol === "file:" || (text !== "" && !digits)) return;
    this.#change((parts) => {
      parts.port = text === "" ? null : portOf(digits, parts.protocol);
    });
  }

  get pathname() {
    return pathname(this.#parts);
  }
  set pathname(value) {
    if (typeof this.#parts.path === "string") return;
    const encoded = String(value).replace(/\?/g, "%3F").replace(/#/g, "%23");
    const { query } = this.#parts;
    this.#parts.path = [];
    withPath(this.#parts, encoded.replace(/[\t\n\r]/g, ""));
    this.#parts.query = query;
  }

  get search() {
    return this.#parts.query ? `?${this.#parts.query}` : "";
  }
  set search(value) {
    const text = String(value).replace(/^\?/, "");
    if (text === "") this.#parts.query = null;
    else withQuery(this.#parts, text.replace(/#/g, "%23").replace(/[\t\n\r]/g, ""));
    this.#params.replace(this.#parts.query ?? "");
  }

  get searchParams() {
    return this.#params;
  }

  get hash() {
    return this.#parts.fragment ? `#${this.#parts.fragment}` : "";
  }
  set hash(value) {
    const text = String(value).replace(/^#/, "").replace(/[\t\n\r]/g, "");
    this.#parts.fragment = text === "" ? null : percentEncoded(text, FRAGMENT);
  }

  /** A change that an invalid value leaves undone. */
  #change(change) {
    const parts = { ...this.#parts };
    try {
      change(parts);
      this.#parts = parts;
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
    }
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }

  get [Symbol.toStringTag]() {
    return "URL";
  }
}
