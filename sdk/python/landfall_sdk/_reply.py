"""What the caller receives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._values import payload_for, well_formed

HeadersInit = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass
class Reply:
    """An HTTP response for the caller. A dict or a list is sent as JSON, text as text, bytes as they are, None as an empty body."""

    status: int = 200
    body: str | bytes | dict[str, Any] | list[Any] | None = ""
    headers: HeadersInit = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_status()

    def _check_status(self) -> None:
        if not isinstance(self.status, int) or not 200 <= self.status <= 599:
            raise ValueError(f"the status of a reply is a whole number from 200 to 599, not {self.status!r}")

    def raw(self) -> tuple[int, list[tuple[str, str]], str | bytes]:
        """Status, headers and body as the contract has them."""
        self._check_status()
        pairs = pairs_of(self.headers)
        if self.body is None:
            return self.status, pairs, ""
        if isinstance(self.body, (bytes, bytearray, memoryview)):
            return self.status, pairs, bytes(self.body)
        is_text = isinstance(self.body, str)
        body = self.body if isinstance(self.body, str) else json_text(self.body, "the body of a reply")
        if body and not has(pairs, "content-type"):
            pairs.insert(0, ("content-type", "text/plain; charset=utf-8" if is_text else "application/json"))
        return self.status, pairs, payload_for(body, "the body of a reply")


def reply_of(returned: object) -> Reply | None:
    """The reply that a handler returned."""
    match returned:
        case None | Reply():
            return returned
        case dict() | list() | str():
            return Reply(200, returned)
    raise TypeError(
        f"the handler returned {type(returned).__name__}: return None, text, a dict, or a Reply such as Reply(200, {{}})"
    )


def pairs_of(headers: HeadersInit | None) -> list[tuple[str, str]]:
    if headers is None:
        return []
    items = headers.items() if isinstance(headers, Mapping) else headers
    return [(well_formed(str(name)), well_formed(str(value))) for name, value in items]


def has(pairs: list[tuple[str, str]], wanted: str) -> bool:
    return any(name.lower() == wanted for name, _ in pairs)


def json_text(value: object, what: str) -> str:
    """JSON without spaces that nothing needs."""
    try:
        return well_formed(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} cannot be JSON: {error}") from error
