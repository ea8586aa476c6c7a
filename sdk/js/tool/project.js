// What package.json says about a handler.

import { access, readFile } from "node:fs/promises";
import path from "node:path";
import { Problem } from "./problem.js";

const HANDLERS = ["src/handler.ts", "src/handler.js", "handler.ts", "handler.js"];

export async function project(folder) {
  const text = await readFile(path.join(folder, "package.json"), "utf8").catch((error) => {
    if (error.code !== "ENOENT") throw error;
    throw new Problem(`${folder} has no package.json: run landfall-build in the folder of a handler, or name the folder`);
  });
  let json;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Problem(`package.json is not JSON: ${error.message}`);
  }

  const name = String(json.name ?? "").replace(/^@[^/]*\//, "");
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new Problem(`package.json has no "name" that can be the name of a file: ${JSON.stringify(json.name)}`);
  }
  return {
    folder,
    name,
    version: json.version,
    description: json.description,
    handler: await handlerFile(folder, json.landfall?.handler),
  };
}

async function handlerFile(folder, named) {
  for (const file of named === undefined ? HANDLERS : [String(named)]) {
    const exists = await access(path.join(folder, file)).then(
      () => true,
      () => false,
    );
    if (exists) return file;
  }
  if (named !== undefined) {
    throw new Problem(`package.json names the handler ${named} ("landfall": { "handler": … }), which does not exist`);
  }
  throw new Problem(
    `there is no ${HANDLERS[0]} or ${HANDLERS[1]}: write one, or name your file in package.json: "landfall": { "handler": "FILE" }`,
  );
}
