"""How a handler says that it did not handle the event, and the errors of calls to the host."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ._reply import Reply


class Reject(Exception):
    """This event can never succeed: it is dead at once. The caller, if it still waits, receives 422 or `reply`."""

    # A subclass may have an `__init__` that does not call this one.
    reason: str = ""
    reply: Reply | None = None

    def __init__(self, reason: str, *, reply: Reply | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


class Retry(Exception):
    """Something outside failed, and the event may succeed later. The attempt counts against `[retry] attempts`."""

    reason: str = ""
    after_seconds: int | None = None

    def __init__(self, reason: str, *, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_seconds = whole_seconds(after_seconds, "after_seconds")


class Defer(Exception):
    """Something that the event needs is not there yet. The event runs again, and the attempt does not count."""

    reason: str = ""
    after_seconds: int | None = None

    def __init__(self, reason: str, *, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_seconds = whole_seconds(after_seconds, "after_seconds")


HttpErrorKind = Literal[
    "denied",
    "invalid",
    "unavailable",
    "unresolved",
    "unreachable",
    "tls",
    "interrupted",
    "timeout",
    "limit",
    "other",
]

_NOTHING_SENT = ("denied", "invalid", "unavailable", "unresolved", "unreachable", "tls")


class HttpError(Exception):
    """Why an outbound call has no response."""

    def __init__(self, kind: HttpErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    @property
    def nothing_was_sent(self) -> bool:
        """Whether the receiver cannot have acted."""
        return self.kind in _NOTHING_SENT


class CapabilityError(Exception):
    """Why `kv`, `table` or `emit` did not do what was asked."""

    def __init__(self, kind: Literal["denied", "invalid", "limit", "unavailable", "other"], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def whole_seconds(seconds: float | None, what: str) -> int | None:
    """Seconds as the contract has them: whole, rounded up."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise TypeError(f"{what} is a number of seconds, not {seconds!r}")
    return min(math.ceil(min(seconds, 0xFFFFFFFF)), 0xFFFFFFFF)
