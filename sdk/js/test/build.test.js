// The steps of a build that need no other package.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { format, inspect } from "../lib/format.js";
import { placeIn, segmentsOf } from "../lib/trace.js";
import { manifest, withManifest } from "../tool/manifest.js";
import { project } from "../tool/project.js";
import { compactMap } from "../tool/source_map.js";

async function folder(files) {
  const made = await mkdtemp(path.join(tmpdir(), "landfall-test-"));
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(made, name), text);
  return made;
}

test("package.json describes the component", async () => {
  const made = await folder({
    "package.json": JSON.stringify({ name: "@me/orders", version: "1.2.0", description: 'Stores "orders"' }),
    "handler.js": "",
    "manifest.toml": '# mine\nevent-types = ["paid"]\n\n[needs]\nkv = true\nname = 1\n',
    "settings.schema.json": '{ "type": "object" }\n',
  });
  const described = await project(made);
  assert.deepEqual([described.name, described.handler], ["orders", "handler.js"]);
  assert.equal(
    await manifest(described),
    'manifest = 1\nname = "orders"\nversion = "1.2.0"\ndescription = "Stores \\"orders\\""\n' +
      'settings-schema = \'\'\'\n{ "type": "object" }\n\'\'\'\n# mine\nevent-types = ["paid"]\n\n[needs]\nkv = true\nname = 1\n',
  );
});

test("manifest.toml has the last word", async () => {
  const made = await folder({ "manifest.toml": 'manifest = 1\nname = "other"\n' });
  assert.equal(await manifest({ folder: made, name: "orders" }), '\nmanifest = 1\nname = "other"\n');
});

test("the manifest is a custom section", async () => {
  const made = await folder({ "manifest.toml": `# ${"x".repeat(200)}\n` });
  const whole = await withManifest({ folder: made, name: "a" }, Buffer.from([1, 2]));
  assert.deepEqual([...whole.subarray(0, 3)], [1, 2, 0]);
  // Two bytes of LEB128 for a length above 127.
  const length = (whole[3] & 0x7f) | (whole[4] << 7);
  assert.ok(whole[3] & 0x80);
  assert.equal(whole.length, 5 + length);
  assert.equal(whole.subarray(5, 6 + 17).toString(), "\x11landfall:manifest");
});

test("missing files are named", async () => {
  await assert.rejects(project(await folder({})), /has no package.json/);
  await assert.rejects(project(await folder({ "package.json": '{"name":"a"}' })), /there is no src\/handler.ts/);
  await assert.rejects(project(await folder({ "package.json": "{}" })), /has no "name"/);
  const unreadable = await folder({});
  await mkdir(path.join(unreadable, "package.json"));
  await assert.rejects(project(unreadable), { code: "EISDIR" });
  const named = '{"name":"a","landfall":{"handler":"x.ts"}}';
  await assert.rejects(project(await folder({ "package.json": named })), /names the handler x.ts/);
});

test("maps keep the author's lines", () => {
  // Two segments in a line of the author, one of the SDK, two of a package.
  const map = { sources: ["../src/a.ts", "../sdk/lib/b.js", "../node_modules/p/c.js"], mappings: "AAAA,IAAI;ACCA;ACAA,EAAE" };
  const compact = compactMap(map, { folder: "/h", sdk: "/h/sdk", file: "/h/build/bundle.js.map" });
  assert.deepEqual(compact.sources, ["src/a.ts", "", "node_modules/p/c.js"]);
  const lines = compact.mappings.split(";");
  const [first, second, third] = lines.map((line) => segmentsOf(line));
  assert.deepEqual(first.map(({ column, sourceColumn }) => [column, sourceColumn]), [[0, 0], [4, 4]]);
  assert.deepEqual([second[0].source, second[0].line], [1, 1]);
  assert.deepEqual([third.length, third[0].source], [1, 2]);
  const places = [[1, 7], [2, 1], [3, 1]].map(([line, column]) => placeIn({ ...compact, lines }, line, column));
  assert.deepEqual(places, ["src/a.ts:1:5", undefined, "node_modules/p/c.js:2:5"]);
});

test("values are shown as source", () => {
  const circular = { a: 1 };
  circular.self = circular;
  assert.equal(inspect(circular), "{ a: 1, self: [circular] }");
  assert.equal(inspect(new Map([["a", [1, "x"]]])), 'Map { "a" => [1, "x"] }');
  assert.equal(inspect({ "a-b": null, f() {}, d: new Date(0) }), '{ "a-b": null, f: [function f], d: 1970-01-01T00:00:00.000Z }');
  assert.equal(format(["%s is %d%%", "a", 5, { b: 1 }]), "a is 5% { b: 1 }");
  assert.equal(format([1, "two", undefined]), "1 two undefined");
  assert.match(inspect(Array.from({ length: 200 }, (_, at) => at)), /… 100 more/);
});
