"""Events for other hooks. Needs `[allow] emit = ["HOOK"]`. Events are kept if the attempt succeeds."""

from __future__ import annotations

from typing import Any

from ._failure import whole_seconds
from ._host import capability
from ._reply import HeadersInit, has, json_text, pairs_of
from ._values import optional_text, payload_for, text_for

_host = capability("emit")
_NOTHING: Any = object()


def emit(
    hook: str,
    *,
    json: object = _NOTHING,
    body: str | bytes = "",
    event_type: str | None = None,
    headers: HeadersInit | None = None,
    key: str | None = None,
    delay_seconds: float | None = None,
) -> str:
    """Emits an event to a hook and returns its id.

    Emissions with the same `key` to the same hook are one, as long as that hook's `[dedup] window`.
    """
    pairs = pairs_of(headers)
    if json is not _NOTHING:
        body = json_text(json, "`json` of an emitted event")
        if not has(pairs, "content-type"):
            pairs.append(("content-type", "application/json"))
    event_id: str = _host.emit(
        text_for(hook, "the name of a hook"),
        optional_text(event_type, "event_type"),
        pairs,
        payload_for(body, "the body of an emitted event"),
        optional_text(key, "the key of an emitted event"),
        whole_seconds(delay_seconds, "delay_seconds"),
    )
    return event_id
