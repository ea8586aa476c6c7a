"""`@handler` and `@responder`: the functions of the author that the component exports."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ._event import Event
from ._reply import Reply

Result = Reply | dict[str, Any] | list[Any] | str | None
F = TypeVar("F", bound=Callable[[Event], Result])

registered: dict[str, Callable[[Event], Result]] = {}


def handler(function: F) -> F:
    """Makes a function the handler: it is called once for each event. Returning None leaves the answer to the host."""
    return _registered("handler", function)


def responder(function: F) -> F:
    """Makes a function the quick answer of a hook in mode `async`. Nothing that it stages is kept."""
    return _registered("responder", function)


def _registered(kind: str, function: F) -> F:
    place = _place(function)
    if not callable(function):
        raise TypeError(f"@{kind} is for a function")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{place}: @{kind} is for a plain function, not for `async def` or a generator: calls of the host do not wait")
    if len(inspect.signature(function).parameters) != 1:
        raise TypeError(f"{place}: @{kind} is for a function with one parameter, the event")
    earlier = registered.get(kind)
    if earlier is not None and _place(earlier) != place:
        raise TypeError(f"{place}: there is a function with @{kind} already, at {_place(earlier)}")
    registered[kind] = function
    return function


def _place(function: object) -> str:
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(function)
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno}"
