// Compiles TypeScript when Node imports it. Imports in the style of TypeScript, without an ending or with `.js`, find the `.ts` file.

import { access, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!/^\.{0,2}\//.test(specifier) || !context.parentURL) throw error;
    for (const name of [`${specifier}.ts`, specifier.replace(/\.js$/, ".ts")]) {
      const url = new URL(name, context.parentURL);
      const exists = await access(url).then(
        () => true,
        () => false,
      );
      if (exists && name.endsWith(".ts")) return { url: url.href, format: "module", shortCircuit: true };
    }
    throw error;
  }
}

export async function load(url, context, next) {
  if (!/\.m?ts$/.test(url)) return next(url, context);
  const file = fileURLToPath(url);
  const { code } = await transform(await readFile(file, "utf8"), {
    loader: "ts",
    format: "esm",
    target: "es2023",
    sourcefile: file,
    sourcemap: "inline",
  });
  return { format: "module", source: code, shortCircuit: true };
}
