// The manifest of a component: what package.json says, the schema of the settings, and manifest.toml. docs/MANIFEST.md has the format.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { Problem } from "./problem.js";

const SECTION = "landfall:manifest";
const FACTS = ["name", "version", "description"];

/** The component with its manifest as a custom section. */
export async function withManifest(described, component) {
  const name = Buffer.from(SECTION);
  const content = Buffer.concat([leb128(name.length), name, Buffer.from(await manifest(described))]);
  return Buffer.concat([component, Buffer.from([0]), leb128(content.length), content]);
}

export async function manifest(described) {
  const own = await optional(described.folder, "manifest.toml");
  const schema = await optional(described.folder, "settings.schema.json");
  const keys = topLevelKeys(own);

  // TOML wants keys before tables, so those of package.json are first.
  const lines = keys.has("manifest") ? [] : ["manifest = 1"];
  for (const fact of FACTS) {
    if (described[fact] && !keys.has(fact)) lines.push(`${fact} = ${quoted(String(described[fact]))}`);
  }
  if (schema) {
    if (keys.has("settings-schema")) {
      throw new Problem("manifest.toml has settings-schema, and there is a settings.schema.json: remove one of them");
    }
    if (schema.includes("'''")) throw new Problem("settings.schema.json has three quotes in a row, which a manifest cannot have");
    lines.push(`settings-schema = '''\n${schema.trimEnd()}\n'''`);
  }
  return `${lines.join("\n")}\n${own}`;
}

async function optional(folder, name) {
  return readFile(path.join(folder, name), "utf8").catch((error) => {
    if (error.code === "ENOENT") return "";
    throw new Problem(`${name} cannot be read: ${error.message}`);
  });
}

/** The keys before the first table. */
function topLevelKeys(toml) {
  const before = toml.split(/^\[/m)[0];
  return new Set([...before.matchAll(/^"?([A-Za-z0-9_-]+)"?\s*=/gm)].map((found) => found[1]));
}

function quoted(text) {
  const escaped = text.replace(/["\\]/g, "\\$&").replace(/[\0-\x1f\x7f]/g, (control) => {
    return `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}

function leb128(number) {
  const bytes = [];
  let rest = number;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
