// The promises of a component: their jobs run when `drain` is called.

import assert from "node:assert/strict";
import test from "node:test";
import { handlerOf } from "../lib/component.js";
import { drain, LandfallPromise, unhandled } from "../lib/promise.js";
import { host } from "../lib/testing.js";

/** What a promise comes to, without waiting. */
function result(promise) {
  let found = "pending";
  promise.then(
    (value) => {
      found = { value };
    },
    (reason) => {
      found = { reason };
    },
  );
  drain();
  return found;
}

test("jobs run in their order", () => {
  const steps = [];
  LandfallPromise.resolve(1).then((value) => steps.push(value)).then(() => steps.push(3));
  LandfallPromise.resolve(2).then((value) => steps.push(value));
  steps.push(0);
  drain();
  assert.deepEqual(steps, [0, 1, 2, 3]);
});

test("rejections reach their handlers", () => {
  const failed = LandfallPromise.resolve().then(() => {
    throw new Error("no");
  });
  assert.equal(result(failed.catch((error) => error.message)).value, "no");
  assert.deepEqual(result(LandfallPromise.reject(1).finally(() => 2)), { reason: 1 });
  assert.deepEqual(result(LandfallPromise.resolve(1).finally(() => 2)), { value: 1 });
  assert.deepEqual(unhandled(), []);
});

test("rejections without handlers are found", () => {
  LandfallPromise.reject("lost");
  LandfallPromise.reject("kept").catch(() => {});
  drain();
  assert.deepEqual(unhandled(), ["lost"]);
  assert.deepEqual(unhandled(), []);
});

test("a lost rejection fails the attempt", () => {
  const raw = { receivedAt: "2026-01-31T08:15:30.123Z", headers: [], attributes: [], body: { tag: "text", val: "" } };
  const failure = (work) => {
    const fake = host();
    try {
      handlerOf(work).handle(raw);
    } catch ({ tag, val }) {
      return [tag, val.reason.split(" (")[0], ...fake.logs.map((line) => line.split(" (")[0])];
    }
    return [];
  };
  const lost = () => void LandfallPromise.reject();
  assert.deepEqual(failure(lost), ["retry", "undefined was thrown"]);
  const both = () => {
    lost();
    LandfallPromise.reject(new Error("second"));
    return LandfallPromise.resolve("done");
  };
  assert.deepEqual(failure(both), ["retry", "undefined was thrown", "error: Error: second"]);
  assert.deepEqual(failure(() => LandfallPromise.reject().catch(() => {})), []);
});

test("thenables and promises are followed", () => {
  assert.deepEqual(result(LandfallPromise.resolve({ then: (resolve) => resolve(LandfallPromise.resolve(4)) })), { value: 4 });
  const { promise, resolve } = LandfallPromise.withResolvers();
  resolve(promise);
  assert.ok(result(promise).reason instanceof TypeError);
});

test("several promises are combined", () => {
  const [one, two, bad] = [LandfallPromise.resolve(1), 2, LandfallPromise.reject("x")];
  assert.deepEqual(result(LandfallPromise.all([one, two])).value, [1, 2]);
  assert.deepEqual(result(LandfallPromise.all([one, bad])).reason, "x");
  assert.deepEqual(result(LandfallPromise.any([bad, two])).value, 2);
  assert.deepEqual(result(LandfallPromise.any([bad])).reason.errors, ["x"]);
  assert.deepEqual(result(LandfallPromise.race([new LandfallPromise(() => {}), two])).value, 2);
  assert.deepEqual(
    result(LandfallPromise.allSettled([one, bad])).value.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  assert.deepEqual(result(LandfallPromise.all([])).value, []);
});

test("async functions of Node can await", async () => {
  const promise = LandfallPromise.resolve(5);
  setImmediate(drain);
  assert.equal(await promise, 5);
});
