"""Shows every answer that the contract allows. The key `case` of the event's JSON body chooses one of them. Guests in Rust, TypeScript
and C do the same."""

import json

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import http, settings
from wit_world.imports.http import Request
from wit_world.imports.types import (
    Event,
    Failure_Defer,
    Failure_Reject,
    Failure_Retry,
    Payload_Text,
    Rejection,
    Reply,
    RetryHint,
)


def text(body: str) -> Reply:
    return Reply(200, [("content-type", "text/plain; charset=utf-8")], Payload_Text(body))


def json_reply(status: int, body: object) -> Reply:
    return Reply(status, [("content-type", "application/json")], Payload_Text(json.dumps(body)))


def retry(reason: str, after_s: int | None = None) -> Err:
    return Err(Failure_Retry(RetryHint(reason, after_s)))


def reject(reason: str, reply: Reply | None = None) -> Err:
    return Err(Failure_Reject(Rejection(reason, reply)))


def parsed(event: Event) -> dict:
    try:
        body = json.loads(event.body.value)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def case_name(error: object) -> str:
    """The name of a case as in the contract: `denied` of `HttpError_Denied`. Every name of `HttpError` is one word."""
    return type(error).__name__.removeprefix("HttpError_").lower()


def sends_all(urls: list[str]) -> Reply:
    results = http.send_all([Request("GET", url, [], None, None) for url in urls])
    return json_reply(
        200, [result.value.status if isinstance(result, Ok) else case_name(result.value) for result in results]
    )


def sends_one(asked: dict) -> Reply:
    body = asked.get("body")
    request = Request(
        asked.get("method") or "GET",
        asked["url"],
        [(name, value) for name, value in asked.get("headers") or []],
        None if body is None else Payload_Text(body),
        asked.get("timeout_ms"),
    )
    try:
        return text(str(http.send(request).status))
    except Err as error:
        return text(case_name(error.value))


def sends_five(event: Event, asked: dict) -> Reply:
    url = asked["url"]
    calls = [
        ("POST", url, []),
        ("POST", url, []),
        ("PUT", url, []),
        ("POST", f"{url}?other", []),
        ("POST", url, [("idempotency-key", "own")]),
    ]

    statuses = []
    for method, to, headers in calls:
        try:
            response = http.send(Request(method, to, headers, Payload_Text("same"), None))
        except Err as error:
            raise retry(case_name(error.value))
        statuses.append(response.status)

    if asked.get("fail") and event.attempt == 1:
        raise retry("failed on purpose")
    return json_reply(200, statuses)


class Handler(exports.Handler):
    def handle(self, event: Event) -> Reply | None:
        asked = parsed(event)

        match asked.get("case"):
            case "none":
                return None
            case "text":
                return text("hello")
            case "fields":
                fields = {
                    "provider": event.provider,
                    "event_type": event.event_type,
                    "delivery_id": event.delivery_id,
                }
                return json_reply(200, fields)
            case "defer":
                if settings.get("ready") == "true":
                    return text("ready")
                raise Err(Failure_Defer(RetryHint("not ready", asked.get("after_s"))))
            case "retry":
                if event.attempt == 1:
                    raise retry("failed on purpose", asked.get("after_s"))
                return text(f"attempt {event.attempt}")
            case "reject":
                raise reject("rejected on purpose")
            case "reject-reply":
                raise reject("rejected on purpose", json_reply(409, {"error": "conflict"}))
            case "send-all":
                return sends_all(asked["urls"])
            case "http-error":
                return sends_one(asked)
            case "keys":
                return sends_five(event, asked)
            case _:
                raise reject("unknown case")
