// Lets the official client of the Model Context Protocol call tools. Reads one JSON object from standard input:
// `server` is `{command, args, env}` or `{url, token}`, `calls` a list of `{name, arguments, walk}`. With `walk`, a call is
// repeated with each `next_cursor`. Prints one JSON object: `tools` as the server lists them, and `results`, one list for each
// call, of `{isError, texts}`.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.env.LANDFALL_SDK_NODE;
if (!folder) throw new Error("LANDFALL_SDK_NODE is not set: the folder that holds node_modules");
const require = createRequire(resolve(folder) + "/");
const load = (name) => import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/${name}`)).href);
const { Client } = await load("client/index.js");
const { StdioClientTransport } = await load("client/stdio.js");
const { StreamableHTTPClientTransport } = await load("client/streamableHttp.js");

const PAGES_MAX = 100;
const { server, calls } = JSON.parse(readFileSync(0, "utf8"));
const transport = server.url
  ? new StreamableHTTPClientTransport(new URL(server.url), {
      requestInit: { headers: { Authorization: `Bearer ${server.token}` } },
    })
  : new StdioClientTransport({ ...server, env: { ...process.env, ...server.env }, stderr: "inherit" });
const client = new Client({ name: "landfall-tests", version: "1.0.0" });
await client.connect(transport);

/** The pages of one call. */
async function call({ name, arguments: given = {}, walk = false }) {
  const pages = [];
  let cursor;
  do {
    const result = await client.callTool({ name, arguments: cursor ? { ...given, cursor } : given });
    const texts = result.content.map((block) => block.text);
    pages.push({ isError: result.isError ?? false, texts });
    cursor = walk && !result.isError ? JSON.parse(texts.at(-1)).next_cursor : undefined;
  } while (cursor && pages.length < PAGES_MAX);
  return pages;
}

const { tools } = await client.listTools();
const results = [];
for (const one of calls) results.push(await call(one));
await client.close();
console.log(JSON.stringify({ tools, instructions: client.getInstructions(), results }));
