// TextEncoder and TextDecoder give what Node's give.

import assert from "node:assert/strict";
import test from "node:test";
import * as ours from "../lib/globals/encoding.js";

test("texts are encoded as UTF-8", () => {
  for (const text of ["", "abc", "äöü€", "\u{1F600}x", "\ud800", "\udc00a", "a\ud83d", "x".repeat(5000), "€".repeat(5000)]) {
    assert.deepEqual(new ours.TextEncoder().encode(text), new TextEncoder().encode(text));
  }
});

test("malformed UTF-8 is replaced", () => {
  const random = generator(7);
  for (let round = 0; round < 3000; round += 1) {
    const bytes = Uint8Array.from({ length: random(12) }, () => [0x20, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xff, 0xa0, 0x9f][random(12)]);
    assert.equal(new ours.TextDecoder().decode(bytes), new TextDecoder().decode(bytes), String(bytes));
  }
});

test("malformed UTF-8 is refused if fatal", () => {
  const decoder = new ours.TextDecoder("utf8", { fatal: true });
  assert.throws(() => decoder.decode(Uint8Array.of(0xc3)), TypeError);
  assert.equal(decoder.decode(Uint8Array.of(0xc3, 0xa9)), "é");
  assert.throws(() => new ours.TextDecoder("latin1"), RangeError);
});

test("a byte order mark is removed", () => {
  const bytes = Uint8Array.of(0xef, 0xbb, 0xbf, 0x61);
  assert.equal(new ours.TextDecoder().decode(bytes), "a");
  assert.equal(new ours.TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes), "\ufeffa");
});

test("streams are decoded in parts", () => {
  const decoder = new ours.TextDecoder();
  const parts = [Uint8Array.of(0xe2, 0x82), Uint8Array.of(0xac, 0x61)];
  assert.equal(parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode(), "€a");
});

/** Numbers that look random and are the same in each run. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % below;
  };
}
