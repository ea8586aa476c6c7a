"""What a component exports: the author's functions with the types of the contract around them."""

from __future__ import annotations

import contextlib
import importlib
import logging
import random
import sys
from datetime import datetime

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import types

from . import _logging, _trace
from ._contract.payload import payload_of
from ._event import Event, Headers
from ._outcome import Ended, Raw, ended
from ._register import initialising, registered
from ._reply import Reply
from ._trace import described
from ._values import well_formed

_logging.install()
logging.raiseExceptions = False


class Handler(exports.Handler):
    """The export `landfall:hook/handler`."""

    def handle(self, event: types.Event) -> types.Reply | None:
        end = _call("handler", event)
        match end.outcome:
            case "done":
                return _reply(end.reply)
            case "reject":
                raise Err(types.Failure_Reject(types.Rejection(end.reason, _reply(end.reply))))
            case "defer":
                raise Err(types.Failure_Defer(types.RetryHint(end.reason, end.after_seconds)))
        raise Err(types.Failure_Retry(types.RetryHint(end.reason, end.after_seconds)))


class Responder:
    """The export `landfall:hook/responder`."""

    def respond(self, event: types.Event) -> types.Reply | None:
        end = _call("responder", event)
        if end.outcome != "done":
            raise Err(end.reason)
        return _reply(end.reply)


class Init:
    """The export `landfall:init/init`."""

    def init(self) -> None:
        streams = _logging.redirect()
        try:
            for function in initialising:
                function()
            _run_once()
        except BaseException as error:
            raise Err(well_formed(described(error))) from None
        finally:
            for stream in streams:
                stream.close_line()


def _run_once() -> None:
    """What each event runs, so that the interpreter has prepared it for all of them."""
    body = types.Payload_Text("{}")
    raw = types.Event("", "", 1, "2000-01-01T00:00:00.000Z", None, None, None, "POST", "/", None, [], body, [])
    _reply(Reply(200, _event(raw).json()).raw())
    random.seed()


def _call(kind: str, raw: types.Event) -> Ended:
    # The state of the component is a copy of that after its build or its `init`, also the state of `random`.
    random.seed()
    streams = _logging.redirect()
    end = ended(registered[kind], _event(raw))
    for stream in streams:
        stream.close_line()
    return end


def _event(raw: types.Event) -> Event:
    return Event(
        id=raw.id,
        hook=raw.hook,
        attempt=raw.attempt,
        received_at=datetime.fromisoformat(raw.received_at),
        provider=raw.provider,
        event_type=raw.event_type,
        delivery_id=raw.delivery_id,
        method=raw.method,
        path=raw.path,
        query_string=raw.query,
        headers=Headers(raw.headers),
        body=raw.body.value,
        attributes=dict(raw.attributes),
    )


def _reply(raw: Raw | None) -> types.Reply | None:
    if raw is None:
        return None
    status, headers, body = raw
    return types.Reply(status, headers, payload_of(body))


_LATER = ("_strptime", "encodings.ascii", "encodings.cp1252", "encodings.latin_1", "encodings.utf_16", "encodings.utf_16_le")
"""Modules that the standard library imports when a function needs them."""


def loaded(modules: list[str]) -> None:
    """Called when the author's modules are imported. `modules` are those that functions may import."""
    if "handler" not in registered:
        raise TypeError("no function has @handler: from landfall_sdk import handler")
    # A component has no files to import anything from when it runs.
    for name in (*modules, *_LATER):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _trace.remember_sources(list(sys.modules.values()))
