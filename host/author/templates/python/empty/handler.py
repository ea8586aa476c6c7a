"""Answers each event."""

from landfall_sdk import Event, Reply, handler


@handler
def handle(event: Event) -> Reply:
    """Runs once for each event. `raise Reject(…)` and `raise Retry(…)` say what else is to follow."""
    kind = event.event_type or "event"
    print(f"received {kind}")

    return Reply(200, {"received": kind})
