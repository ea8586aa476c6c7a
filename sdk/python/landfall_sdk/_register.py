"""`@handler`, `@responder` and `@init`: the functions of the author that the component exports."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ._event import Event
from ._reply import Reply

Result = Reply | dict[str, Any] | list[Any] | str | None
F = TypeVar("F", bound=Callable[[Event], Result])
InitFunction = TypeVar("InitFunction", bound=Callable[[], None])

registered: dict[str, Callable[[Event], Result]] = {}
initialising: list[Callable[[], None]] = []
"""The function with `@init`, if there is one."""


def handler(function: F) -> F:
    """Makes a function the handler: it is called once for each event. Returning None leaves the answer to the host."""
    return _registered("handler", function)


def responder(function: F) -> F:
    """Makes a function the quick answer of a hook in mode `async`. Nothing that it stages is kept."""
    return _registered("responder", function)


def init(function: InitFunction) -> InitFunction:
    """Makes a function the initialisation: it is called once, when Landfall compiles the component.

    Each event starts with a copy of what it left in memory. Only `log`, `logging` and `print` work in it."""
    place = _checked("init", function)
    if inspect.signature(function).parameters:
        raise TypeError(f"{place}: @init is for a function without parameters: there is no event yet")
    _alone("init", place, initialising[0] if initialising else None)
    initialising[:] = [function]
    return function


def _registered(kind: str, function: F) -> F:
    place = _checked(kind, function)
    if len(inspect.signature(function).parameters) != 1:
        raise TypeError(f"{place}: @{kind} is for a function with one parameter, the event")
    _alone(kind, place, registered.get(kind))
    registered[kind] = function
    return function


def _checked(kind: str, function: object) -> str:
    """The place of a plain function."""
    place = _place(function)
    if not callable(function):
        raise TypeError(f"@{kind} is for a function")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{place}: @{kind} is for a plain function, not for `async def` or a generator: calls of the host do not wait")
    return place


def _alone(kind: str, place: str, earlier: object) -> None:
    """A module may be imported twice, but two functions cannot be the same."""
    if earlier is not None and _place(earlier) != place:
        raise TypeError(f"{place}: there is a function with @{kind} already, at {_place(earlier)}")


def _place(function: object) -> str:
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(function)
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno}"
