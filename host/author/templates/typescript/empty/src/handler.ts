// Answers each event.

import { type Event, json } from "landfall-sdk";

/** Runs once for each event. What it returns is the reply. `throw new Reject(…)` and `throw new Retry(…)` say what else is to follow. */
export default function handle(event: Event) {
  const kind = event.eventType ?? "event";
  console.log(`received ${kind}`);

  return json({ received: kind });
}
