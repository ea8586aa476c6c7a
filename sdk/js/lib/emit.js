// Events for other hooks. Needs `[allow] emit = ["HOOK"]`. Events are kept if the attempt succeeds.

import * as host from "#host/emit";
import { calling, CapabilityError } from "./failure.js";
import { pairsOf } from "./headers.js";
import { inHandler } from "./phase.js";
import { jsonText, optionalText, payloadOf, rawPairs, textFor, wholeSeconds } from "./payload.js";

/** Emits an event to a hook and returns its id. */
export function emit(hook, emission = {}) {
  inHandler("emit");
  const headers = pairsOf(emission.headers);
  let body = payloadOf(emission.body ?? "", "the body of an emitted event");
  if (emission.json !== undefined) {
    body = payloadOf(jsonText(emission.json, "`json` of an emitted event"));
    const has = headers.some(([name]) => name.toLowerCase() === "content-type");
    if (!has) headers.push(["content-type", "application/json"]);
  }
  const raw = {
    hook: textFor(hook, "the name of a hook"),
    eventType: optionalText(emission.eventType, "eventType"),
    headers: rawPairs(headers),
    body,
    key: optionalText(emission.key, "the key of an emitted event"),
    delayS: wholeSeconds(emission.delaySeconds, "delaySeconds"),
  };
  return calling(CapabilityError, () => host.emit(raw));
}
