"""Log lines for the operator, stored with the attempt. The module `logging` and `print` write the same lines."""

from __future__ import annotations

from typing import Protocol

from ._host import capability
from ._values import well_formed

_host = capability("log")


class Line(Protocol):
    """A function that writes a line."""

    def __call__(self, message: object, *values: object) -> None: ...


def trace(message: object, *values: object) -> None:
    """A line; `values` are put into the message with `%`."""
    _line("trace", message, values)


def debug(message: object, *values: object) -> None:
    """A line of the level `debug`."""
    _line("debug", message, values)


def info(message: object, *values: object) -> None:
    """A line of the level `info`."""
    _line("info", message, values)


def warn(message: object, *values: object) -> None:
    """A line of the level `warn`."""
    _line("warn", message, values)


def error(message: object, *values: object) -> None:
    """A line of the level `error`."""
    _line("error", message, values)


def _line(level: str, message: object, values: tuple[object, ...]) -> None:
    _host.log(level, well_formed(str(message) % values if values else str(message)))
