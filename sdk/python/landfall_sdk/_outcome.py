"""How a call of the author's function ends: the reply or the failure of the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ._event import Event
from ._failure import Defer, Reject, Retry
from ._reply import Reply, reply_of
from ._trace import described
from ._values import well_formed

Raw = tuple[int, list[tuple[str, str]], str | bytes]


@dataclass
class Ended:
    """How a call ended. `reply` is the one of a handler that is done or of a `Reject`."""

    outcome: Literal["done", "retry", "defer", "reject"]
    reply: Raw | None = None
    reason: str = ""
    after_seconds: int | None = None
    error: BaseException | None = None


def ended(function: Callable[[Event], object], event: Event) -> Ended:
    """Calls the function."""
    try:
        reply = reply_of(function(event))
        return Ended("done", None if reply is None else reply.raw())
    except KeyboardInterrupt:
        # Somebody ends a native test.
        raise
    except BaseException as error:
        end = _failed(error)
        end.reason = well_formed(end.reason)
        return end


def _failed(error: BaseException) -> Ended:
    match error:
        case Reject():
            return _rejected(error)
        case Retry():
            return Ended("retry", None, _reason(error), error.after_seconds, error)
        case Defer():
            return Ended("defer", None, _reason(error), error.after_seconds, error)
    return Ended("retry", None, described(error), None, error)


def _reason(error: Reject | Retry | Defer) -> str:
    """A class of the author may not have called the constructor of its base."""
    return str(error.reason or str(error) or type(error).__name__)


def _rejected(error: Reject) -> Ended:
    ended = Ended("reject", None, _reason(error), None, error)
    try:
        if error.reply is not None:
            reply = error.reply if isinstance(error.reply, Reply) else reply_of(error.reply)
            ended.reply = None if reply is None else reply.raw()
    except Exception as wrong:
        ended.reason += f"; its reply is not valid: {wrong}"
    return ended
