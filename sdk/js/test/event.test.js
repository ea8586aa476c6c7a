// The event as the author sees it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Reject } from "../lib/index.js";
import { Event } from "../lib/event.js";
import { formFields } from "../lib/form.js";
import { event } from "../lib/testing.js";

test("none is undefined", () => {
  const made = event({});
  assert.deepEqual([made.provider, made.eventType, made.deliveryId, made.queryString], [undefined, undefined, undefined, undefined]);
  assert.equal(made.query.get("a"), null);
});

test("fields have their types", () => {
  const made = event({
    provider: "github",
    receivedAt: "2026-01-31T08:15:30.123Z",
    query: "a=1&b=x%20y",
    headers: { "X-GitHub-Event": "push" },
    params: { shop: "acme" },
  });
  assert.equal(made.receivedAt.getTime(), Date.UTC(2026, 0, 31, 8, 15, 30, 123));
  assert.equal(made.query.get("b"), "x y");
  assert.equal(made.headers.get("x-github-EVENT"), "push");
  assert.equal(made.params.shop, "acme");
  assert.equal(made.attributes["verified-by"], "none");
});

test("bodies are text or bytes", () => {
  assert.deepEqual(event({ body: "é" }).bytes(), Uint8Array.of(0xc3, 0xa9));
  assert.deepEqual(event({ body: Uint8Array.of(0xff) }).bytes(), Uint8Array.of(0xff));
  assert.throws(() => event({ body: Uint8Array.of(0xff) }).text(), Reject);
});

test("a body without JSON is rejected", () => {
  assert.deepEqual(event({ json: { a: [1] } }).json(), { a: [1] });
  assert.throws(() => event({ body: "{" }).json(), (error) => error instanceof Reject && error.message.startsWith("the body is not JSON: "));
});

test("JSON in a form is read", () => {
  const made = event({
    body: `payload=${encodeURIComponent('{"ref":"main"}')}&x=1`,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    attributes: { "json-form-field": "payload" },
  });
  assert.deepEqual(made.json(), { ref: "main" });
  assert.equal(made.form().get("x"), "1");
  assert.equal(event({ body: "a=1" }).form(), undefined);
});

test("other bytes of forms are replaced", () => {
  const body = { tag: "binary", val: Uint8Array.of(0x61, 0x3d, 0xe4, 0x26, 0x62, 0x3d, 0x31) };
  assert.deepEqual(formFields("application/x-www-form-urlencoded", body), [["a", "\ufffd"], ["b", "1"]]);
});

test("repeated headers keep their order", () => {
  const made = new Event({ headers: [["a", "1"], ["b", "2"], ["a", "3"]], attributes: [], body: { tag: "text", val: "" } });
  assert.deepEqual(made.headers.getAll("A"), ["1", "3"]);
  assert.deepEqual([...made.headers], [["a", "1, 3"], ["b", "2"]]);
});

/** The cases of the Rust SDK, in a clone of the repository. */
test("forms are read as in Rust", () => {
  const cases = JSON.parse(readFileSync(new URL("../../tests/multipart.json", import.meta.url), "utf8"));
  for (const { case: name, content_type, body, fields } of cases) {
    assert.deepEqual(formFields(content_type, { tag: "text", val: body }) ?? null, fields, name);
  }
});
