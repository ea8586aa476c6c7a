// One JavaScript module of the author's file, the SDK and the packages that they import.

import path from "node:path";
import { fileURLToPath } from "node:url";
import { build, formatMessages } from "esbuild";
import { compactMap } from "./source_map.js";
import { Problem } from "./problem.js";

export const SDK = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** The interfaces behind `#host/NAME`. */
const HOST = {
  emit: "landfall:emit/emit@0.1.0",
  http: "landfall:http/http@0.1.0",
  kv: "landfall:kv/kv@0.1.0",
  log: "landfall:hook/log@0.1.0",
  settings: "landfall:hook/settings@0.1.0",
  table: "landfall:table/table@0.1.0",
};

/** Interfaces are not files: they become imports of the component, if anything uses them. */
const interfaces = {
  name: "interfaces",
  setup(builder) {
    builder.onResolve({ filter: /^#host\// }, ({ path: name }) => ({
      path: HOST[name.slice("#host/".length)],
      external: true,
      sideEffects: false,
    }));
    builder.onResolve({ filter: /^(landfall|wasi):/ }, ({ path: name }) => ({
      path: name,
      external: true,
      sideEffects: false,
    }));
  },
};

/** The text of the module, the interfaces that it imports, and whether it has a responder. */
export async function bundle({ folder, handler }) {
  const options = {
    absWorkingDir: folder,
    bundle: true,
    charset: "utf8",
    conditions: ["landfall", "worker", "browser"],
    define: { "process.env.NODE_ENV": '"production"' },
    format: "esm",
    inject: [path.join(SDK, "lib/inject/fetch.js")],
    legalComments: "none",
    logLevel: "silent",
    mainFields: ["browser", "module", "main"],
    metafile: true,
    outfile: path.join(folder, "build", "bundle.js"),
    platform: "neutral",
    plugins: [interfaces],
    sourcemap: "external",
    sourcesContent: false,
    // A call into the component is synchronous, so the SDK has promises of its own (lib/promise.js). `async` functions use them only
    // as generators.
    supported: { "async-await": false, "async-generator": false, "for-await": false, "top-level-await": false },
    target: "es2023",
    write: false,
  };

  const exported = await run({ ...options, entryPoints: [handler] }, handler);
  const names = Object.values(exported.metafile.outputs).find((output) => output.entryPoint)?.exports ?? [];
  if (!names.includes("default")) throw new Problem(withoutDefault(handler));

  const hasResponder = names.includes("responder");
  const result = await run({ ...options, stdin: entry(folder, handler, hasResponder) }, handler);
  const [file, map] = ["bundle.js", "bundle.js.map"].map((name) =>
    result.outputFiles.find((output) => output.path.endsWith(name)),
  );
  const output = Object.values(result.metafile.outputs).find((one) => one.entryPoint);
  const imports = output.imports.filter((one) => one.external).map((one) => one.path);
  const compact = compactMap(JSON.parse(map.text), { folder, sdk: SDK, file: map.path });

  return {
    code: file.text,
    // Behind the code, so that its lines stay where the map has them.
    text: `${file.text}\nglobalThis.__landfall_map = ${JSON.stringify(compact)};\n`,
    map: compact,
    hasResponder,
    interfaces: [...new Set(imports)],
  };
}

function entry(folder, handler, hasResponder) {
  const sdk = (file) => JSON.stringify(path.join(SDK, "lib", file));
  const lines = [
    `import ${sdk("globals/install.js")};`,
    `import { handlerOf, responderOf } from ${sdk("component.js")};`,
    `import * as author from ${JSON.stringify(`./${handler}`)};`,
    "export const handler = handlerOf(author.default);",
  ];
  if (hasResponder) lines.push("export const responder = responderOf(author.responder);");
  return { contents: lines.join("\n"), resolveDir: folder, sourcefile: "landfall-entry.js", loader: "js" };
}

function withoutDefault(handler) {
  return (
    `${handler} has no default export: the handler is \`export default function onEvent(event) { … }\`, ` +
    "and the quick answer of a hook in mode `async` is `export function responder(event) { … }`"
  );
}

async function run(options, handler) {
  try {
    return await build(options);
  } catch (error) {
    if (!Array.isArray(error.errors)) throw error;
    for (const one of error.errors) explain(one, handler);
    const texts = await formatMessages(error.errors, { kind: "error", color: process.stderr.isTTY, terminalWidth: 120 });
    throw new Problem(texts.join("").trimEnd());
  }
}

/** Replaces the hints of esbuild that lead nowhere here. */
function explain(error) {
  if (error.text.startsWith("Top-level await")) {
    error.text = "`await` is not available outside functions: move it into the handler";
    return;
  }
  const unresolved = /^Could not resolve "([^"]*)"/.exec(error.text)?.[1];
  if (unresolved === undefined) return;
  const name = unresolved.replace(/^node:/, "");
  if (error.notes.some((note) => note.text.includes("built into node")) || unresolved.startsWith("node:")) {
    error.text = `"${unresolved}" is part of Node.js, and a handler does not run in Node.js`;
    error.notes = [{ text: wayOutFor(name) }];
  } else if (/^[@a-z]/i.test(unresolved)) {
    error.notes = [{ text: `If it is a package: npm install ${unresolved.split("/").slice(0, unresolved[0] === "@" ? 2 : 1).join("/")}` }];
  }
}

function wayOutFor(name) {
  switch (name) {
    case "http":
    case "https":
      return "Use fetch, or http.send of landfall-sdk.";
    case "crypto":
      return "Use crypto.getRandomValues or crypto.randomUUID; for hashes, a package in plain JavaScript such as @noble/hashes.";
    case "fs":
    case "fs/promises":
      return "A handler has no files: use settings, kv or table of landfall-sdk, or import a JSON file.";
    case "url":
      return "URL and URLSearchParams are globals.";
    default:
      return "Use a package that also works in browsers.";
  }
}
