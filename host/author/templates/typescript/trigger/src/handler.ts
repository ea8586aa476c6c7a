// Calls a URL after the events of one type.

import { type Event, http, settings } from "landfall-sdk";

/** `[settings]` of the hook file. */
interface Settings {
  /** The type of the events that cause a call. Without it, every event does. */
  event?: string;
  url: string;
}

/** Runs once for each event. A call that fails is an event that runs again. */
export default function handle(event: Event) {
  const { event: wanted, url } = settings.all<Settings>();
  const kind = event.eventType ?? "event";
  if (wanted != null && wanted !== kind) {
    console.log(`nothing to do for ${kind}`);
    return;
  }

  const text = `${kind} from ${event.provider ?? "unknown"}`;
  http.send({ url, json: { text } }).errorForStatus();
}
