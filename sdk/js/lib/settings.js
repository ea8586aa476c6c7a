// The `[settings]` table of the hook file.

import * as host from "#host/settings";
import { textFor } from "./payload.js";
import { inHandler } from "./phase.js";

/** One setting: the text of a string, the JSON form of another value, `undefined` if it is not set. */
export function get(key) {
  inHandler("settings.get");
  return host.get(textFor(key, "the key of a setting")) ?? undefined;
}

/** The whole table. */
export function all() {
  inHandler("settings.all");
  return JSON.parse(host.all());
}
