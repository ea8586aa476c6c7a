"""Stores each event as a row of the table `events`. `landfall rows events` prints them."""

from landfall_sdk import Event, handler, table


@handler
def handle(event: Event) -> None:
    """Runs once for each event. The row is stored only if the handler succeeds."""
    row = {
        "id": event.id,
        "type": event.event_type or "event",
        "received_at": event.received_at.isoformat(),
        "body": event.text,
    }
    table.append("events", row)
