from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .._messages import Request, Response


@dataclass
class Answer:
    """The answer to calls whose URL starts with `url`."""

    url: str
    response: Response
    method: str | None = None
    error: str | None = None
    left: float = float("inf")


@dataclass
class Emitted:
    """An event that the handler emitted."""

    hook: str
    event_type: str | None
    headers: dict[str, str]
    body: str | bytes
    key: str | None
    delay_seconds: int | None

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Call:
    """An outbound call that the handler made."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | bytes | None
    timeout_ms: int | None

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body or "")


@dataclass
class State:
    settings: dict[str, Any] = field(default_factory=dict)
    kv: dict[str, str | bytes] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    emitted: list[Emitted] = field(default_factory=list)


class Current:
    """The host of the running test."""

    state = State()


def sent(request: Request) -> Call:
    """Records a call."""
    method, url, headers, body, timeout_ms = request.raw()
    call = Call(method, url, {name.lower(): value for name, value in headers}, body, timeout_ms)
    Current.state.calls.append(call)
    return call
