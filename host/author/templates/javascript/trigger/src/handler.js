// Calls a URL after the events of one type.

import { http, settings } from "landfall-sdk";

/**
 * Runs once for each event. A call that fails is an event that runs again.
 *
 * @param {import("landfall-sdk").Event} event
 */
export default function handle(event) {
  const { event: wanted, url } = settings.all();
  const kind = event.eventType ?? "event";
  if (wanted != null && wanted !== kind) {
    console.log(`nothing to do for ${kind}`);
    return;
  }

  const text = `${kind} from ${event.provider ?? "unknown"}`;
  http.send({ url, json: { text } }).errorForStatus();
}
