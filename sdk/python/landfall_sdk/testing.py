"""Native tests: made-up events, and a fake host that answers calls and keeps what the handler did."""

from __future__ import annotations

import json as _json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from . import _logging
from ._event import Event, Headers
from ._failure import HttpErrorKind
from ._fake.state import Answer, Call, Current, Emitted, State
from ._messages import NOTHING, Response
from ._outcome import Ended, ended
from ._reply import HeadersInit, pairs_of

__all__ = ["Call", "Emitted", "Host", "Outcome", "TestReply", "event", "host", "run"]


class Host:
    """What the handler did, and the answers to its calls."""

    def __init__(self, state: State) -> None:
        self._state = state

    def answer(
        self,
        url: str,
        *,
        status: int = 200,
        json: object = NOTHING,
        body: str | bytes = "",
        headers: HeadersInit | None = None,
        error: HttpErrorKind | None = None,
        method: str | None = None,
        times: float = float("inf"),
    ) -> Host:
        """Answers calls whose URL starts with `url`. The first answer that fits and is not used up is given.

        Other calls are `denied`.
        """
        pairs = pairs_of(headers)
        if json is not NOTHING:
            body = _json.dumps(json)
            pairs.append(("content-type", "application/json"))
        response = Response(status, Headers(pairs), body)
        self._state.answers.append(Answer(url, response, method, error, times))
        return self

    @property
    def calls(self) -> list[Call]:
        """The outbound calls."""
        return self._state.calls

    @property
    def logs(self) -> list[str]:
        """Log lines with their level: `info: hello`."""
        return self._state.logs

    @property
    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        """The table and the row of each row."""
        return self._state.rows

    @property
    def emitted(self) -> list[Emitted]:
        """The emitted events."""
        return self._state.emitted

    @property
    def kv(self) -> dict[str, str | bytes]:
        """Every value by its key."""
        return self._state.kv


def host(*, settings: Mapping[str, Any] | None = None, kv: Mapping[str, str | bytes] | None = None) -> Host:
    """A new fake host. It has nothing of an earlier one."""
    Current.state = State(settings=dict(settings or {}), kv=dict(kv or {}))
    return Host(Current.state)


def event(
    *,
    json: object = NOTHING,
    body: str | bytes = "",
    id: str = "019c1234-5678-7abc-8def-0123456789ab",
    hook: str = "test",
    attempt: int = 1,
    received_at: str = "2026-01-31T08:15:30.123Z",
    provider: str | None = None,
    event_type: str | None = None,
    delivery_id: str | None = None,
    method: str = "POST",
    path: str = "/test",
    query: str | None = None,
    headers: HeadersInit | None = None,
    attributes: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> Event:
    """An event: a `POST` with a JSON body if `json` is given."""
    pairs = pairs_of(headers)
    if json is not NOTHING:
        body = _json.dumps(json)
        pairs.append(("content-type", "application/json"))
    facts = {"verified-by": "none", "verified-by-scheme": "none", **(attributes or {})}
    facts.update({f"param:{name}": value for name, value in (params or {}).items()})
    return Event(
        id,
        hook,
        attempt,
        datetime.fromisoformat(received_at),
        provider,
        event_type,
        delivery_id,
        method,
        path,
        query,
        Headers(pairs),
        body,
        facts,
    )


class TestReply:
    """A reply of the handler."""

    __test__ = False

    def __init__(self, status: int, headers: list[tuple[str, str]], body: str | bytes) -> None:
        self.status = status
        self.headers = Headers(headers)
        self.body = body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body if isinstance(self.body, str) else self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return _json.loads(self.body)


class Outcome:
    """How a handler ended."""

    def __init__(self, end: Ended) -> None:
        self.outcome: Literal["done", "retry", "defer", "reject"] = end.outcome
        self.reply = None if end.reply is None else TestReply(*end.reply)
        self.reason = end.reason
        self.after_seconds = end.after_seconds
        self.error = end.error

    def __repr__(self) -> str:
        return f"Outcome({self.outcome}, {self.reason!r})"


def run(function: Callable[[Event], object], event: Event) -> Outcome:
    """Runs a handler as a component does: `print` and `logging` write to the fake host, and what it raises is an outcome."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    out, err = sys.stdout, sys.stderr
    root.handlers.clear()
    _logging.install()
    streams = _logging.redirect()
    try:
        end = ended(function, event)
        for stream in streams:
            stream.close_line()
    finally:
        sys.stdout, sys.stderr = out, err
        root.handlers[:] = handlers
        root.setLevel(level)
    if isinstance(end.error, KeyboardInterrupt):
        # It is for the test, and not of the handler.
        raise end.error
    return Outcome(end)
