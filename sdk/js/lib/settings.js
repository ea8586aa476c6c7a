// The `[settings]` table of the hook file.

import * as host from "#host/settings";

/** One setting: the text of a string, the JSON form of another value, `undefined` if it is not set. */
export function get(key) {
  return host.get(key) ?? undefined;
}

/** The whole table. */
export function all() {
  return JSON.parse(host.all());
}
