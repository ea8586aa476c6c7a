// The capabilities, over the fake host.

import assert from "node:assert/strict";
import test from "node:test";
import { CapabilityError, emit, http, HttpError, json, kv, log, Reject, Reply, Retry, Defer, settings, table, text, reply } from "../lib/index.js";
import { calling } from "../lib/failure.js";
import { event, host, run } from "../lib/testing.js";

test("settings are read", () => {
  host({ settings: { branch: "main", limit: 3, on: { a: true } } });
  assert.deepEqual([settings.get("branch"), settings.get("limit"), settings.get("no")], ["main", "3", undefined]);
  assert.deepEqual(settings.all(), { branch: "main", limit: 3, on: { a: true } });
});

test("values are stored", () => {
  const fake = host({ kv: { seen: "yes" } });
  assert.equal(kv.get("seen"), "yes");
  assert.equal(kv.get("no"), undefined);
  kv.set("bytes", Uint8Array.of(0xff));
  assert.throws(() => kv.get("bytes"), /kv.getBytes/);
  assert.deepEqual(kv.getBytes("bytes"), Uint8Array.of(0xff));
  kv.setJson("doc", { a: 1 }, { expiresInSeconds: 60 });
  assert.deepEqual(kv.getJson("doc"), { a: 1 });
  assert.equal(kv.increment("n"), 1);
  assert.equal(kv.increment("n", 4), 5);
  kv.set("five", new TextEncoder().encode("5"));
  assert.deepEqual([kv.get("five"), kv.increment("five")], ["5", 6]);
  assert.equal(kv.compareAndSet("five", new TextEncoder().encode("6"), Uint8Array.of(0x37)), true);
  assert.deepEqual([kv.get("five"), kv.getBytes("five")], ["7", Uint8Array.of(0x37)]);
  kv.delete("five");
  assert.equal(kv.compareAndSet("lock", undefined, "a"), true);
  assert.equal(kv.compareAndSet("lock", "b", "c"), false);
  kv.delete("seen");
  assert.deepEqual(kv.listKeys("", { limit: 2 }), ["bytes", "doc"]);
  assert.equal(fake.kv.lock, "a");
  assert.throws(() => kv.set("a", 5), /text or bytes, not a number/);
  assert.throws(() => kv.set("a", "b", { expiresInSeconds: "60" }), /number of seconds/);
});

test("rows and events are staged", () => {
  const fake = host();
  table.append("pushes", { ref: "main" });
  emit("notify", { json: { text: "x" }, eventType: "paid", key: "k", delaySeconds: 1.2 });
  assert.deepEqual(fake.rows, [{ table: "pushes", row: { ref: "main" } }]);
  const [emitted] = fake.emitted;
  assert.deepEqual([emitted.hook, emitted.eventType, emitted.json, emitted.key, emitted.delaySeconds], ["notify", "paid", { text: "x" }, "k", 2]);
  assert.equal(emitted.headers["content-type"], "application/json");
});

test("calls are answered in turn", () => {
  const fake = host()
    .answer("https://a.example/", { status: 503, times: 1 })
    .answer("https://a.example/", { json: { ok: true } })
    .answer("https://b.example/", { error: "timeout" });
  assert.equal(http.send("https://a.example/x").status, 503);
  assert.deepEqual(http.send({ url: "https://a.example/x", json: { a: 1 } }).json(), { ok: true });
  assert.deepEqual([fake.calls[1].method, fake.calls[1].json, fake.calls[1].headers["content-type"]], ["POST", { a: 1 }, "application/json"]);
  http.send({ url: "https://a.example/x", method: "PUT", body: new TextEncoder().encode('{"b":2}') });
  assert.deepEqual(fake.calls[2].json, { b: 2 });
  assert.throws(() => http.send("https://b.example/"), (error) => error instanceof HttpError && error.kind === "timeout" && !error.nothingWasSent);
  assert.throws(() => http.send("https://c.example/"), (error) => error.kind === "denied" && error.nothingWasSent);
  const results = http.sendAll(["https://a.example/", { url: "https://b.example/", method: "PUT" }]);
  assert.deepEqual(results.map((result) => result.status ?? result.kind), [200, "timeout"]);
});

test("forms are sent", () => {
  const fake = host().answer("https://a.example/");
  http.send({ url: "https://a.example/", form: { a: "x y" }, timeoutMs: 1500 });
  assert.deepEqual([fake.calls[0].body, fake.calls[0].timeoutMs], ["a=x+y", 1500]);
});

test("statuses become failures", () => {
  host()
    .answer("https://busy.example/", { status: 429, headers: { "Retry-After": "7" } })
    .answer("https://gone.example/", { status: 404 });
  assert.throws(() => http.send("https://busy.example/").errorForStatus(), (error) => error instanceof Retry && error.afterSeconds === 7);
  assert.throws(() => http.send("https://gone.example/").errorForStatus(), Reject);
});

test("reasons have the answer", async () => {
  const sentence = "the call was answered with status 422";
  const reasonOf = (options) => {
    host().answer("https://a.example/", { status: 422, headers: { "X-Id": "not-in-the-reason" }, ...options });
    try {
      http.send("https://a.example/").errorForStatus();
    } catch (error) {
      return error.message;
    }
  };
  assert.equal(reasonOf({ body: '{"error": "no\nname"}\n' }), `${sentence}: {"error": "no\\nname"}`);
  assert.equal(reasonOf({ body: "a\u001b[31m\u0000\u007fb" }), `${sentence}: a\\u{1b}[31m\\u{0}\\u{7f}b`);
  assert.equal(reasonOf({}), sentence);
  assert.equal(reasonOf({ body: " \r\n" }), sentence);
  assert.equal(reasonOf({ body: Uint8Array.of(0xff, 0x61) }), sentence);
  assert.equal(reasonOf({ body: "😀".repeat(200) }), `${sentence}: ${"😀".repeat(200)}`);
  assert.equal(reasonOf({ body: "😀".repeat(9000) }), `${sentence}: ${"😀".repeat(200)}…`);

  host().answer("https://a.example/", { status: 422, body: "no name" });
  const ended = await run(async () => {
    const response = await fetch("https://a.example/");
    await response.text();
    http.errorForStatus(response);
  }, event());
  assert.deepEqual([ended.outcome, ended.reason], ["reject", `${sentence}: no name`]);
});

test("fetch calls the host", async () => {
  const fake = host({}).answer("https://a.example/", { json: { a: 1 }, headers: { "X-Id": "7" } });
  const onEvent = async () => {
    const response = await fetch("https://a.example/x", { method: "post", body: new URLSearchParams({ q: "1" }), signal: undefined });
    return json({ ok: response.ok, id: response.headers.get("x-id"), body: await response.json() });
  };
  const { reply } = await run(onEvent, event());
  assert.deepEqual(reply.json(), { ok: true, id: "7", body: { a: 1 } });
  assert.equal(fake.calls[0].method, "POST");
  assert.match(fake.calls[0].headers["content-type"], /^application\/x-www-form-urlencoded/);
  await run(() => fetch({ url: "https://a.example/y", method: "PUT", body: "old" }, { body: "new" }).then(() => undefined), event());
  await run(() => fetch(new Request("https://a.example/z", { method: "DELETE", headers: { "X-A": "1" } })).then(() => undefined), event());
  const [, put, deleted] = fake.calls;
  assert.deepEqual([put.url, put.method, put.body], ["https://a.example/y", "PUT", "new"]);
  assert.deepEqual([deleted.method, deleted.headers["x-a"]], ["DELETE", "1"]);
  const denied = await run(() => fetch("https://b.example/").then(() => undefined), event());
  assert.match(denied.reason, /^HttpError \(denied\): /);
});

test("errors of the engine are translated", () => {
  const thrown = Object.assign(new Error("x"), { payload: { tag: "limit", val: "too many keys" } });
  assert.throws(
    () =>
      calling(CapabilityError, () => {
        throw thrown;
      }),
    (error) => error instanceof CapabilityError && error.kind === "limit" && error.message === "too many keys",
  );
});

test("lines have levels", async () => {
  const fake = host();
  log.warn("a %s of %d", "b", 3, { c: [1] });
  const ended = await run(() => {
    console.log("one", { a: 1 });
    console.error(new Error("bad").message);
    console.group("group");
    console.debug("inside\nit");
  }, event());
  assert.equal(ended.outcome, "done");
  assert.deepEqual(fake.logs, [
    "warn: a b of 3 { c: [1] }",
    "info: one { a: 1 }",
    "error: bad",
    "info: group",
    "debug:   inside\n  it",
  ]);
});

test("replies have content types", async () => {
  const all = [
    [() => undefined, undefined],
    [() => "hi", [200, "text/plain; charset=utf-8", "hi"]],
    [() => json([1], 201), [201, "application/json", "[1]"]],
    [() => text("x", 404), [404, "text/plain; charset=utf-8", "x"]],
    [() => reply(409, { a: 1 }), [409, "application/json", '{"a":1}']],
    [() => reply(204), [204, undefined, ""]],
    [() => reply(204, null), [204, undefined, ""]],
    [() => json(1, 200, { "Content-Type": "text/x" }), [200, "text/x", "1"]],
    [() => new Response("r", { status: 203 }), [203, "text/plain;charset=UTF-8", "r"]],
    [() => new Reply(200, { body: Uint8Array.of(0x61) }), [200, undefined, "a"]],
  ];
  for (const [handler, expected] of all) {
    const { outcome, reply: got } = await run(handler, event());
    assert.equal(outcome, "done");
    assert.deepEqual(got && [got.status, got.headers["content-type"], got.text()], expected);
  }
});

test("thrown values are outcomes", async () => {
  const throwing = (thrown) => () => {
    throw thrown;
  };
  const rejected = await run(throwing(new Reject("no", { reply: json({ a: 1 }, 409) })), event());
  assert.deepEqual([rejected.outcome, rejected.reason, rejected.reply.status], ["reject", "no", 409]);
  const retried = await run(throwing(new Retry("later", { afterSeconds: 0.5 })), event());
  assert.deepEqual([retried.outcome, retried.reason, retried.afterSeconds], ["retry", "later", 1]);
  const deferred = await run(throwing(new Defer("not yet")), event());
  assert.deepEqual([deferred.outcome, deferred.afterSeconds], ["defer", undefined]);
  assert.throws(() => new Retry("x", { afterSeconds: -1 }), TypeError);
});

test("other errors are retried with places", async () => {
  const failed = await run(async () => {
    throw new TypeError("bad", { cause: new Error("deep") });
  }, event());
  assert.equal(failed.outcome, "retry");
  assert.match(failed.reason, /^TypeError: bad \(.*host\.test\.js:\d+:\d+\)\n {4}at /);
  assert.match(failed.reason, /\ncaused by Error: deep \(.*host\.test\.js:/);
  const text = await run(() => Promise.reject("words"), event());
  assert.equal(text.reason, "words");
});

test("errors of several promises are named", async () => {
  const { reason } = await run(() => Promise.any([Promise.reject(new TypeError("a")), Promise.reject("b"), Promise.reject()]), event());
  assert.match(reason, /^AggregateError: /);
  assert.match(reason, /\n1 of 3: TypeError: a \(.*host\.test\.js:\d+:\d+\)\n/);
  assert.ok(reason.endsWith("\n2 of 3: b\n3 of 3: undefined"), reason);
});

test("failures with wrong fields are outcomes", async () => {
  const throwing = (thrown, fields) => run(() => {
    throw Object.defineProperties(thrown, fields);
  }, event());
  const late = await throwing(new Retry("later"), { afterSeconds: { value: "soon" } });
  assert.deepEqual([late.outcome, late.afterSeconds], ["retry", undefined]);
  assert.match(late.reason, /^later; its time is not valid: TypeError: afterSeconds is a number of seconds, not soon/);
  const get = () => {
    throw undefined;
  };
  const rejected = await throwing(new Reject("no"), { message: { get }, reply: { get } });
  assert.deepEqual([rejected.outcome, rejected.reason], ["reject", "rejected; its reply is not valid: undefined was thrown"]);
});

test("half pairs and odd values are written", async () => {
  const fake = host();
  table.append("t", { text: "a\ud800", "k\udfff": "\\ud800 \ud83d\ude00" });
  assert.deepEqual(fake.rows[0].row, { text: "a\ufffd", "k\ufffd": "\\ud800 \ud83d\ude00" });
  const circular = {};
  circular.self = circular;
  await run(() => console.log("%j", circular), event());
  assert.match(fake.logs[0], /^info: values that cannot be printed: TypeError/);
});

test("wrong results are named", async () => {
  for (const [value, words] of [[5, "a number"], [{ a: 1 }, "an object of the class Object"], [[1], "an array"]]) {
    const { outcome, reason } = await run(() => value, event());
    assert.equal(outcome, "retry");
    assert.ok(reason.includes(`the handler returned ${words}`), reason);
  }
  const changed = await run(() => Object.assign(json({}), { status: "200" }), event());
  assert.match(changed.reason, /^RangeError: the status of a reply is a whole number from 200 to 599, not 200/);
  assert.throws(() => json(undefined), /the body of a reply is JSON, not undefined/);
  assert.throws(() => reply(99), RangeError);
});

test("values have the types of the contract", async () => {
  host();
  const wrong = [
    () => settings.get(undefined),
    () => kv.get(undefined),
    () => kv.set(1, "a"),
    () => kv.increment("a", 1.5),
    () => kv.increment("a", 2 ** 31),
    () => kv.listKeys("", { limit: -1 }),
    () => table.append(undefined, {}),
    () => emit(undefined, {}),
    () => emit("a", { key: 5 }),
    () => http.send({ url: "https://a.example/", timeoutMs: Number.NaN }),
  ];
  for (const call of wrong) assert.throws(call, TypeError, String(call));
});

test("half surrogate pairs are replaced", async () => {
  const fake = host();
  const ended = await run(() => {
    console.log("\ud800 a");
    kv.set("\ud800", "\udc00");
    table.append("rows", { a: "\ud800" });
    return text("\ud800");
  }, event());
  assert.equal(ended.reply.text(), "\ufffd");
  assert.deepEqual([fake.logs, fake.kv], [["info: \ufffd a"], { "\ufffd": "\ufffd" }]);
  const failed = await run(() => {
    throw new Reject("\ud800");
  }, event());
  assert.equal(failed.reason, "\ufffd");
});

test("strange values can be thrown", async () => {
  const unprintable = new (class extends Error {
    get message() {
      throw new Error("x");
    }
  })();
  for (const [thrown, reason] of [[null, "null was thrown"], [{ a: 1 }, '{"a":1}'], [unprintable, "an error that cannot be printed was thrown"]]) {
    const ended = await run(() => {
      throw thrown;
    }, event());
    assert.deepEqual([ended.outcome, ended.reason], ["retry", reason]);
  }
});
