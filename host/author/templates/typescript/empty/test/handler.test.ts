import assert from "node:assert/strict";
import { test } from "node:test";
import * as testing from "landfall-sdk/testing";
import handle from "../src/handler.ts";

test("events are answered", async () => {
  const host = testing.host();
  const { reply } = await testing.run(handle, testing.event({ eventType: "push", json: {} }));
  assert.equal(reply?.status, 200);
  assert.deepEqual(host.logs, ["info: received push"]);
});
