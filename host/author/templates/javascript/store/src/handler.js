// Stores each event as a row of the table `events`. `landfall rows events` prints them.

import { table } from "landfall-sdk";

/**
 * Runs once for each event. The row is stored only if the handler succeeds.
 *
 * @param {import("landfall-sdk").Event} event
 */
export default function handle(event) {
  table.append("events", {
    id: event.id,
    type: event.eventType ?? "event",
    received_at: event.receivedAt.toISOString(),
    body: event.text(),
  });
}
