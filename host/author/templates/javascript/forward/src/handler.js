// Sends each event to a URL.

import { http, settings } from "landfall-sdk";

/**
 * Runs once for each event. A call that fails is an event that runs again.
 *
 * @param {import("landfall-sdk").Event} event
 */
export default function handle(event) {
  const { url } = settings.all();
  const contentType = event.headers.get("content-type") ?? "application/json";
  http
    .send({ url, method: "POST", headers: { "content-type": contentType }, body: event.bytes() })
    .errorForStatus();
}
