import assert from "node:assert/strict";
import { test } from "node:test";
import * as testing from "landfall-sdk/testing";
import handle from "../src/handler.ts";

test("events become rows", async () => {
  const host = testing.host();
  await testing.run(handle, testing.event({ eventType: "push", json: { a: 1 } }));
  assert.equal(host.rows.length, 1);
  assert.equal(host.rows[0]?.row.type, "push");
});
