// `node --import landfall-sdk/register --test`: lets Node run tests and handlers that are written in TypeScript.

import { register } from "node:module";

register("./loader.js", import.meta.url);
