"""Parses the body and answers one field of it."""

from landfall_sdk import Event, Reply, handler


@handler
def handle(event: Event) -> Reply:
    body = event.json()

    return Reply(200, {"ref": body["ref"]})
