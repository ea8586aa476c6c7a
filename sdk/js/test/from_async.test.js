// `Array.fromAsync` of a component. Here it runs with the promises of Node.

import assert from "node:assert/strict";
import test from "node:test";
import { fromAsync } from "../lib/globals/from_async.js";

const of = (...values) => fromAsync.call(Array, ...values);

async function* counted(most, ended = () => {}) {
  try {
    for (let number = 1; number <= most; number += 1) yield number;
  } finally {
    ended();
  }
}

test("items of every kind are awaited", async () => {
  assert.deepEqual(await of([1, Promise.resolve(2)]), [1, 2]);
  assert.deepEqual(await of(counted(3)), [1, 2, 3]);
  assert.deepEqual(await of(new Set(["a", "b"])), ["a", "b"]);
  assert.deepEqual(await of("ab"), ["a", "b"]);
  assert.deepEqual(await of({ length: 2, 0: Promise.resolve("x"), 1: "y" }), ["x", "y"]);
  assert.deepEqual(await of({}), []);
});

test("the function gets item and place", async () => {
  const thisArg = { factor: 10 };
  async function map(item, at) {
    return item * this.factor + at;
  }
  assert.deepEqual(await of(counted(2), map, thisArg), [10, 21]);
  assert.deepEqual(await of({ length: 1, 0: Promise.resolve(1) }, map, thisArg), [10]);
});

test("errors reject the promise", async () => {
  await assert.rejects(of(null), TypeError);
  await assert.rejects(of([], "no function"), /is a string/);
  await assert.rejects(of([Promise.reject(new Error("lost"))]), /lost/);
  let isEnded = false;
  const source = counted(3, () => (isEnded = true));
  const fail = () => {
    throw new Error("of the function");
  };
  await assert.rejects(of(source, fail), /of the function/);
  assert.equal(isEnded, true);
});

test("lists can have another class", async () => {
  class List extends Array {}
  const list = await fromAsync.call(List, counted(2));
  assert.ok(list instanceof List);
  assert.equal(list.length, 2);
  const plain = await fromAsync.call(undefined, [1]);
  assert.ok(Array.isArray(plain));
  assert.equal(fromAsync.length, 1);
});
