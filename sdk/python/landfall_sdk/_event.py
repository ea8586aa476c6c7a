"""The argument of a handler. The host has verified the event: nothing here checks the sender."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from ._failure import Reject
from ._form import form_fields


class Values(Mapping[str, str]):
    """Values by name. A name can have several values: `[name]` and `get` are the first one."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = [(self._name(name), value) for name, value in pairs]

    @staticmethod
    def _name(name: str) -> str:
        return name

    def get_all(self, name: str) -> list[str]:
        """Every value of this name, in the order in which they were sent."""
        wanted = self._name(name)
        return [value for known, value in self.pairs if known == wanted]

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.pairs))

    def __len__(self) -> int:
        return len(dict(self.pairs))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pairs!r})"


class Headers(Values):
    """Headers, whose names have no case."""

    @staticmethod
    def _name(name: str) -> str:
        return name.lower()


@dataclass(frozen=True)
class Event:
    """A webhook request that the host has verified, or an event that another hook has emitted.

    It is the same on every attempt and every replay, except for `attempt`.
    """

    id: str
    """A UUIDv7. The same on every attempt and every replay."""
    hook: str
    """The name of the hook that received it. One component may serve several hooks."""
    attempt: int
    """1 on the first attempt. A replay begins at 1 again."""
    received_at: datetime
    """When the host had read the whole request."""
    provider: str | None
    """The provider pack that verified it: `github`. None if the hook file names a scheme instead, and for emitted events."""
    event_type: str | None
    """The provider's name for this kind of event: `push`. For an emitted event, what the emitting hook wrote."""
    delivery_id: str | None
    """The provider's id of this delivery, if it has one."""
    method: str
    """Upper case: `POST`."""
    path: str
    """As sent, percent-encoded: `/github`."""
    query_string: str | None
    """The query as sent, without the question mark. A parameter that was a shared secret is removed."""
    headers: Headers
    """Headers that were a shared secret are removed."""
    body: str | bytes
    """Text if the bytes are valid UTF-8, and bytes otherwise."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Facts that the host found: `verified-by`, `client-address`, …"""

    @cached_property
    def query(self) -> Values:
        """The parameters of the URL."""
        return Values(parse_qsl(self.query_string or "", keep_blank_values=True))

    @cached_property
    def params(self) -> dict[str, str]:
        """The `{NAME}` segments of the hook's path."""
        prefix = "param:"
        return {
            name.removeprefix(prefix): value for name, value in self.attributes.items() if name.startswith(prefix)
        }

    @property
    def text(self) -> str:
        """The body. If it is not UTF-8, a `Reject` is raised."""
        if isinstance(self.body, bytes):
            raise Reject("the body is not UTF-8 text")
        return self.body

    @property
    def content(self) -> bytes:
        """The body as it was sent."""
        return self.body.encode() if isinstance(self.body, str) else self.body

    def json(self) -> Any:
        """The body as JSON. If it is not JSON, a `Reject` is raised, because the event can never succeed.

        If the provider sends a form that has the document in one field, such as GitHub's `payload`, that field is read.
        """
        name = self.attributes.get("json-form-field")
        form = self.form() if name is not None else None
        text = form.get(name) if form is not None and name is not None else None
        try:
            return json.loads(self.text if text is None else text)
        except ValueError as error:
            raise Reject(f"the body is not JSON: {error}") from error

    def form(self) -> Values | None:
        """The text fields of a form, without files. None if the body is not a form."""
        fields = form_fields(self.headers.get("content-type", ""), self.content)
        return None if fields is None else Values(fields)
