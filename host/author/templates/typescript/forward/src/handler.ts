// Sends each event to a URL.

import { type Event, http, settings } from "landfall-sdk";

/** `[settings]` of the hook file. */
interface Settings {
  url: string;
}

/** Runs once for each event. A call that fails is an event that runs again. */
export default function handle(event: Event) {
  const { url } = settings.all<Settings>();
  const contentType = event.headers.get("content-type") ?? "application/json";
  http
    .send({ url, method: "POST", headers: { "content-type": contentType }, body: event.bytes() })
    .errorForStatus();
}
