// Headers whose names have no case: those of events, replies, requests and responses.

/** What `Headers` can be made of, as pairs. */
export function pairsOf(init) {
  if (init == null) return [];
  if (init instanceof Headers) return [...init.pairs];
  if (typeof init[Symbol.iterator] === "function") {
    return [...init].map(([name, value]) => [String(name), String(value)]);
  }
  return Object.entries(init).flatMap(([name, value]) =>
    Array.isArray(value) ? value.map((one) => [name, String(one)]) : [[name, String(value)]],
  );
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export class Headers {
  /** Names are in lower case; repeated names are kept. */
  pairs = [];

  constructor(init) {
    for (const [name, value] of pairsOf(init)) this.append(name, value);
  }

  /** The headers of an event or of a response, whose names the host has made lower case. */
  static of(pairs) {
    const headers = new Headers();
    headers.pairs = pairs;
    return headers;
  }

  append(name, value) {
    if (!NAME.test(name)) throw new TypeError(`"${name}" is not the name of a header`);
    this.pairs.push([name.toLowerCase(), String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "")]);
  }

  /** The values of this name, joined by ", ". */
  get(name) {
    const values = this.getAll(name);
    return values.length === 0 ? null : values.join(", ");
  }

  /** Every value of this name, in the order in which they were sent. */
  getAll(name) {
    const wanted = String(name).toLowerCase();
    return this.pairs.filter(([known]) => known === wanted).map(([, value]) => value);
  }

  getSetCookie() {
    return this.getAll("set-cookie");
  }

  has(name) {
    return this.getAll(name).length > 0;
  }

  set(name, value) {
    this.delete(name);
    this.append(name, value);
  }

  delete(name) {
    const wanted = String(name).toLowerCase();
    this.pairs = this.pairs.filter(([known]) => known !== wanted);
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    const names = [...new Set(this.pairs.map(([name]) => name))].sort();
    for (const name of names) {
      if (name === "set-cookie") for (const value of this.getAll(name)) yield [name, value];
      else yield [name, this.get(name)];
    }
  }

  *keys() {
    for (const [name] of this.entries()) yield name;
  }

  *values() {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}
