// A component of the bundle: QuickJS with the module already loaded, and a world that has what the module imports.

import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { componentize } from "componentize-qjs";
import { SDK } from "./bundle.js";
import { placeIn } from "../lib/trace.js";
import { Problem } from "./problem.js";

/** The version that the SDK is tested with. Others have other rules for promises, numbers and errors. */
const ENGINE = "0.4.5";

export async function component({ folder }, bundled) {
  await checkEngine();
  const wit = await mkdtemp(path.join(tmpdir(), "landfall-build-"));
  try {
    await cp(path.join(SDK, "wit"), path.join(wit, "deps"), { recursive: true });
    await writeFile(path.join(wit, "world.wit"), world(bundled, await known()));
    const { component } = await componentize({ witPath: wit, world: "component", jsSource: bundled.text, sync: true });
    return component;
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(explained(error, bundled));
  } finally {
    await rm(wit, { recursive: true, force: true });
  }
}

async function checkEngine() {
  const found = JSON.parse(await readFile(new URL(import.meta.resolve("componentize-qjs/package.json")), "utf8")).version;
  if (found === ENGINE) return;
  throw new Problem(
    `componentize-qjs ${found} is installed, and landfall-sdk needs ${ENGINE}: ` +
      `remove other versions from package.json, or run npm install componentize-qjs@${ENGINE}`,
  );
}

/** Every interface that a component can import. */
async function known() {
  const interfaces = [];
  for (const folder of ["wit", "wit/wasi"]) {
    for (const name of await readdir(path.join(SDK, folder))) {
      if (!name.endsWith(".wit")) continue;
      const text = await readFile(path.join(SDK, folder, name), "utf8");
      const [, prefix, version] = /^package ([^@]+)@([^;]+);/m.exec(text);
      for (const [, one] of text.matchAll(/^interface ([a-z-]+)/gm)) interfaces.push(`${prefix}/${one}@${version}`);
    }
  }
  return interfaces;
}

function world({ interfaces, hasResponder }, known) {
  const unknown = interfaces.find((name) => !known.includes(name));
  if (unknown) {
    throw new Problem(
      `the bundle imports "${unknown}", which landfall-sdk does not know. It knows:\n  ${known.sort().join("\n  ")}`,
    );
  }
  const lines = interfaces.map((name) => `  import ${name};`);
  lines.push("  export landfall:hook/handler@0.1.0;");
  if (hasResponder) lines.push("  export landfall:hook/responder@0.1.0;");
  return `package landfall:generated;\n\nworld component {\n${lines.join("\n")}\n}\n`;
}

/** An error while the module was loaded, with the author's lines. */
function explained(error, { map }) {
  const lines = map.mappings.split(";");
  const text = String(error.message ?? error).replace(/\(?(?:componentize-qjs:)?user\.js:(\d+):(\d+)\)?/g, (all, line, column) => {
    const place = placeIn({ ...map, lines }, Number(line), Number(column));
    return place ? `(${place})` : all;
  });
  const thrown = text
    .replace(/^[^]*?Failed to finish JavaScript module evaluation: /, "")
    .split("\n")
    // Frames of the SDK.
    .filter((line) => !/user\.js:|^\s*at <anonymous> \(native\)/.test(line));
  return `the module cannot be loaded. What stands outside the handler runs once, when the component is built:\n${thrown.join("\n").trimEnd()}`;
}
