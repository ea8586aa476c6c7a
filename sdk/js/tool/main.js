// `landfall-build [DIR]`: builds the handler of a folder.

import { mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { bundle } from "./bundle.js";
import { component } from "./component.js";
import { Problem } from "./problem.js";
import { project } from "./project.js";
import { withManifest } from "./manifest.js";

const USAGE = `landfall-build [DIR]

Builds the handler of a folder with a package.json into build/NAME.wasm. NAME is the name of the package. The handler is the file of
"landfall": { "handler": "FILE" } in package.json, src/handler.ts or src/handler.js.`;

export async function main(args) {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  try {
    if (args.length > 1 || args[0]?.startsWith("-")) throw new Problem(`unknown arguments: ${args.join(" ")}\n${USAGE}`);
    console.log(await build(path.resolve(args[0] ?? ".")));
    return 0;
  } catch (error) {
    // A system call that failed is about a file or the disk, which the author can correct.
    if (!(error instanceof Problem) && error.syscall === undefined) throw error;
    console.error(error instanceof Problem ? error.message : `the build failed: ${error.message}`);
    return 1;
  }
}

/** Builds and returns a line for the author. */
export async function build(folder) {
  const started = performance.now();
  const described = await project(folder);
  const bundled = await bundle(described);
  const built = await component(described, bundled);
  const whole = await withManifest(described, built);

  const file = path.join(folder, "build", `${described.name}.wasm`);
  await mkdir(path.dirname(file), { recursive: true });
  // The file appears as a whole: a node may be watching it.
  await writeFile(`${file}.part`, whole);
  await rename(`${file}.part`, file);

  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const size = (whole.length / 1024 / 1024).toFixed(1);
  const uses = bundled.interfaces
    .filter((name) => name.startsWith("landfall:"))
    .map((name) => /\/(.*)@/.exec(name)[1])
    .sort();
  return `build/${described.name}.wasm: ${size} MiB, imports ${uses.join(", ")}, built in ${seconds} s`;
}
