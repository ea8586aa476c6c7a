import assert from "node:assert/strict";
import { test } from "node:test";
import * as testing from "landfall-sdk/testing";
import handle from "../src/handler.ts";

function host() {
  const settings = { event: "push", url: "https://example.com/run" };
  return testing.host({ settings }).answer("https://example.com/");
}

test("the wanted events make a call", async () => {
  const made = host();
  await testing.run(handle, testing.event({ eventType: "push", json: {} }));
  assert.equal(made.calls[0]?.url, "https://example.com/run");
});

test("other events make none", async () => {
  const made = host();
  await testing.run(handle, testing.event({ eventType: "ping", json: {} }));
  assert.equal(made.calls.length, 0);
});
