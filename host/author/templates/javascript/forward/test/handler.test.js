import assert from "node:assert/strict";
import { test } from "node:test";
import * as testing from "landfall-sdk/testing";
import handle from "../src/handler.js";

const settings = { url: "https://example.com/events" };

test("events are sent", async () => {
  const host = testing.host({ settings }).answer("https://example.com/", { status: 202 });
  const { outcome } = await testing.run(handle, testing.event({ json: { a: 1 } }));
  assert.equal(outcome, "done");
  assert.deepEqual(host.calls[0]?.json, { a: 1 });
});

test("failed calls fail the event", async () => {
  testing.host({ settings }).answer("https://example.com/", { status: 503 });
  const { outcome } = await testing.run(handle, testing.event({ json: {} }));
  assert.equal(outcome, "retry");
});
