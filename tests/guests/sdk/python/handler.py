"""The same cases as in tests/guests/sdk/typescript/src/handler.ts. The key `case` of the event's JSON body chooses one of them."""

import logging
import random
import secrets
import sys
from datetime import datetime

from landfall_sdk import (
    Defer,
    Event,
    HttpError,
    Reject,
    Reply,
    Retry,
    emit,
    handler,
    http,
    kv,
    log,
    responder,
    settings,
    table,
)

from helper import total


@handler
def on_event(event: Event) -> Reply | dict | list | str | None:
    asked = event.json()
    match asked["case"]:
        case "none":
            return None
        case "text":
            return "hello"
        case "fields":
            return {
                "provider": event.provider is None,
                "query": event.query.get("q"),
                "header": event.headers.get("X-Case"),
                "param": event.params["part"],
                "year": event.received_at.year > 2000,
                "bytes": len(event.content),
            }
        case "throw":
            return {"total": total([{"price": 1}, {}])}
        case "retry":
            raise Retry("later", after_seconds=3)
        case "defer":
            raise Defer("not yet", after_seconds=4)
        case "reject":
            raise Reject("never", reply=Reply(409, {"error": "conflict"}))
        case "settings":
            return {"all": settings.all(), "branch": settings.get("branch"), "none": settings.get("no") is None}
        case "fetch":
            return [fetched(asked["url"])]
        case "http-error":
            return failed(asked["url"])
        case "send-all":
            results = http.send_all([http.Request("GET", url) for url in asked["urls"]])
            return [result.kind if isinstance(result, HttpError) else result.status for result in results]
        case "effects":
            table.append("pushes", {"ref": "main"})
            emit("sink", json={"case": "text"}, event_type="made", key=event.id)
            kv.set("bytes", b"\xff")
            kv.set("five", b"5")
            kv.set_json("doc", {"a": 1})
            return {
                "number": kv.increment("number"),
                "bytes": list(kv.get_bytes("bytes") or b""),
                "five": kv.get("five"),
                "doc": kv.get_json("doc"),
                "none": kv.get("nothing") is None,
                "keys": kv.list_keys("d"),
                "swapped": kv.compare_and_set("lock", None, event.id),
            }
        case "log":
            log.debug("a debug line")
            print("an info line", {"a": [1]})
            logging.warning("a warn %s", "line")
            logging.getLogger("part").error("an error line")
            print("a line of stderr", file=sys.stderr)
            return None
        case "surrogate":
            print(asked["text"])
            return asked["text"]
        case "later":
            # Both are imported when the component is built: it has no files.
            import colorsys

            return [datetime.strptime("2026", "%Y").year, colorsys.rgb_to_hsv(0, 0, 0)[0]]
        case "wrong-type":
            return kv.get(None)
        case "random":
            return [random.random(), random.random(), secrets.token_hex(16), False]
        case other:
            return Reply(400, f"unknown: {other}")


def fetched(url: str) -> int | str:
    try:
        return http.post(url, json={"a": 1}, headers={"X-From": "sdk"}).status
    except HttpError as error:
        return error.kind


def failed(url: str) -> dict[str, object]:
    try:
        return {"status": http.get(url).status}
    except HttpError as error:
        return {
            "name": type(error).__name__,
            "kind": error.kind,
            "message": error.message,
            "nothingWasSent": error.nothing_was_sent,
        }


@responder
def quickly(event: Event) -> dict:
    if event.json()["case"] == "responder-throws":
        raise RuntimeError("not now")
    return {"ticket": event.id, "random": random.random()}
