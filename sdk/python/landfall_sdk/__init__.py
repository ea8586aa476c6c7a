"""The SDK for Landfall handlers in Python.

A handler is one function: an event in, and nothing, a reply or an exception out::

    from landfall_sdk import Event, Reply, handler, kv

    @handler
    def on_event(event: Event) -> Reply | None:
        kv.increment("events")
        return Reply(200, {"seen": event.event_type})

The modules `settings`, `kv`, `table`, `http` and `log`, and the function `emit`, are imported from this package. A component imports only
the capabilities that its modules import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._event import Event, Headers, Values
from ._failure import CapabilityError, Defer, HttpError, Reject, Retry
from ._register import handler, init, responder
from ._reply import Reply

if TYPE_CHECKING:
    from . import http, kv, log, settings, table
    from ._emit import emit

__all__ = [
    "CapabilityError",
    "Defer",
    "Event",
    "Headers",
    "HttpError",
    "Reject",
    "Reply",
    "Retry",
    "Values",
    "emit",
    "handler",
    "http",
    "init",
    "kv",
    "log",
    "responder",
    "settings",
    "table",
]

_MODULES = ("http", "kv", "log", "settings", "table")


def __getattr__(name: str) -> Any:
    # A component has only the capabilities that it uses, so the others must not be imported.
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name == "emit":
        return importlib.import_module("._emit", __name__).emit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
