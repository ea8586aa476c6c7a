// Stores each event as a row of the table `events`. `landfall rows events` prints them.

import { type Event, table } from "landfall-sdk";

/** Runs once for each event. The row is stored only if the handler succeeds. */
export default function handle(event: Event) {
  table.append("events", {
    id: event.id,
    type: event.eventType ?? "event",
    received_at: event.receivedAt.toISOString(),
    body: event.text(),
  });
}
