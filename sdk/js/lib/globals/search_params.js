// URLSearchParams, as https://url.spec.whatwg.org/#interface-urlsearchparams describes it.

/** The pairs of `application/x-www-form-urlencoded`. */
function parsed(text) {
  return text
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const at = part.indexOf("=");
      return at < 0 ? [unquoted(part), ""] : [unquoted(part.slice(0, at)), unquoted(part.slice(at + 1))];
    });
}

function unquoted(text) {
  const spaced = text.replaceAll("+", " ");
  if (!spaced.includes("%")) return wellFormed(spaced);
  const bytes = [];
  for (const run of spaced.split(/((?:%[0-9a-fA-F]{2})+)/)) {
    if (/^%[0-9a-fA-F]{2}/.test(run)) for (const hex of run.match(/[0-9a-fA-F]{2}/g)) bytes.push(Number.parseInt(hex, 16));
    // One by one: an engine takes only so many arguments in one call.
    else for (const byte of new TextEncoder().encode(run)) bytes.push(byte);
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

function wellFormed(text) {
  return String(text).replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

function quoted(text) {
  return encodeURIComponent(text).replace(/%20|[!'()~]/g, (found) =>
    found === "%20" ? "+" : `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export class URLSearchParams {
  #pairs;
  #changed;

  constructor(init = "") {
    if (typeof init === "object" && init !== null) {
      this.#pairs = typeof init[Symbol.iterator] === "function" ? pairs(init) : Object.entries(init).map(textual);
    } else {
      this.#pairs = parsed(String(init).replace(/^\?/, ""));
    }
  }

  /** For `URL`: `changed` is called with the new query after each change. */
  static of(query, changed) {
    const params = new URLSearchParams(query);
    params.#changed = changed;
    return params;
  }

  /** For `URL`: another query, without a call of `changed`. */
  replace(query) {
    this.#pairs = parsed(query);
  }

  #update(pairs) {
    this.#pairs = pairs;
    this.#changed?.(String(this));
  }

  get size() {
    return this.#pairs.length;
  }

  append(name, value) {
    this.#update([...this.#pairs, textual([name, value])]);
  }

  delete(name, value = undefined) {
    const isGone = ([known, had]) => known === String(name) && (value === undefined || had === String(value));
    this.#update(this.#pairs.filter((pair) => !isGone(pair)));
  }

  get(name) {
    return this.#pairs.find(([known]) => known === String(name))?.[1] ?? null;
  }

  getAll(name) {
    return this.#pairs.filter(([known]) => known === String(name)).map(([, value]) => value);
  }

  has(name, value = undefined) {
    return this.#pairs.some(([known, had]) => known === String(name) && (value === undefined || had === String(value)));
  }

  set(name, value) {
    const [key, text] = textual([name, value]);
    const first = this.#pairs.findIndex(([known]) => known === key);
    const kept = this.#pairs.filter(([known], at) => known !== key || at === first);
    if (first < 0) kept.push([key, text]);
    else kept[first] = [key, text];
    this.#update(kept);
  }

  sort() {
    this.#update([...this.#pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  }

  forEach(callback, self) {
    for (const [name, value] of this.#pairs) callback.call(self, value, name, this);
  }

  *entries() {
    for (const pair of this.#pairs) yield [...pair];
  }

  *keys() {
    for (const [name] of this.#pairs) yield name;
  }

  *values() {
    for (const [, value] of this.#pairs) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toString() {
    return this.#pairs.map(([name, value]) => `${quoted(name)}=${quoted(value)}`).join("&");
  }

  get [Symbol.toStringTag]() {
    return "URLSearchParams";
  }
}

function pairs(init) {
  return Array.from(init, (pair) => {
    const list = [...pair];
    if (list.length !== 2) throw new TypeError("a pair of URLSearchParams has a name and a value");
    return textual(list);
  });
}

function textual([name, value]) {
  return [wellFormed(name), wellFormed(value)];
}
