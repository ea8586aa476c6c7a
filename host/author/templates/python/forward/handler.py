"""Sends each event to a URL."""

from landfall_sdk import Event, handler, http, settings


@handler
def handle(event: Event) -> None:
    """Runs once for each event. A call that fails is an event that runs again."""
    url = settings.all()["url"]
    content_type = event.headers.get("content-type", "application/json")
    response = http.post(url, headers={"content-type": content_type}, body=event.content)
    response.raise_for_status()
