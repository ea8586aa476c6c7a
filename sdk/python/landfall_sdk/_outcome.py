"""How a call of the author's function ends: the reply or the failure of the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ._event import Event
from ._failure import Defer, Reject, Retry, whole_seconds
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
    """Calls the function. Nothing that it raises passes: the interpreter would end the component."""
    try:
        reply = reply_of(function(event))
        return Ended("done", None if reply is None else reply.raw())
    except BaseException as error:
        return _failed(error)


def _failed(error: BaseException) -> Ended:
    match error:
        case Reject():
            return _rejected(error)
        case Retry():
            return _later("retry", error)
        case Defer():
            return _later("defer", error)
    return Ended("retry", None, well_formed(described(error)), None, error)


def _reason(error: Reject | Retry | Defer) -> str:
    """A class of the author may not have called the constructor of its base."""
    try:
        return well_formed(str(error.reason or error)) or type(error).__name__
    except BaseException:
        return type(error).__name__


def _later(outcome: Literal["retry", "defer"], error: Retry | Defer) -> Ended:
    ended = Ended(outcome, None, _reason(error), None, error)
    try:
        ended.after_seconds = whole_seconds(error.after_seconds, "after_seconds")
    except Exception as wrong:
        ended.reason += f"; its time is not valid: {well_formed(str(wrong))}"
    return ended


def _rejected(error: Reject) -> Ended:
    ended = Ended("reject", None, _reason(error), None, error)
    try:
        if error.reply is not None:
            reply = error.reply if isinstance(error.reply, Reply) else reply_of(error.reply)
            ended.reply = None if reply is None else reply.raw()
    except Exception as wrong:
        ended.reason += f"; its reply is not valid: {well_formed(str(wrong))}"
    return ended
