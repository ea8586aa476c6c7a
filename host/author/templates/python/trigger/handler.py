"""Calls a URL after the events of one type."""

from landfall_sdk import Event, handler, http, settings


@handler
def handle(event: Event) -> None:
    """Runs once for each event. A call that fails is an event that runs again."""
    configured = settings.all()
    kind = event.event_type or "event"
    # Without the setting, every event causes a call.
    if configured.get("event", kind) != kind:
        print(f"nothing to do for {kind}")
        return

    text = f"{kind} from {event.provider or 'unknown'}"
    http.post(configured["url"], json={"text": text}).raise_for_status()
