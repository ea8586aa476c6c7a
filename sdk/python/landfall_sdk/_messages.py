"""Outbound requests and their responses."""

from __future__ import annotations

import json as _json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ._event import Headers
from ._excerpt import excerpt
from ._failure import Reject, Retry
from ._reply import HeadersInit, has, json_text, pairs_of
from ._values import payload_for, text_for, whole_for

NOTHING: Any = object()
"""No value was given; None is JSON's `null`."""


@dataclass
class Request:
    """A request. Of `json`, `form` and `body`, give at most one."""

    method: str
    url: str
    headers: HeadersInit | None = None
    json: object = NOTHING
    """A body that is sent as JSON."""
    form: Mapping[str, str] | Iterable[tuple[str, str]] | None = None
    """The fields of a form."""
    body: str | bytes | None = None
    timeout_seconds: float | None = None
    """The time for the whole call. The default is 30 s, and at most the rest of the attempt."""

    def raw(self) -> tuple[str, str, list[tuple[str, str]], str | bytes | None, int | None]:
        """Method, URL, headers, body and time in milliseconds, as the contract has them."""
        pairs = pairs_of(self.headers)
        body = self.body
        content_type = None
        if self.json is not NOTHING:
            body, content_type = json_text(self.json, "`json` of a request"), "application/json"
        elif self.form is not None:
            fields = list(self.form.items()) if isinstance(self.form, Mapping) else list(self.form)
            body, content_type = urlencode(fields), "application/x-www-form-urlencoded"
        elif body is not None:
            body = payload_for(body, "the body of a request (use json= or form= for others)")
        if content_type is not None and not has(pairs, "content-type"):
            pairs.append(("content-type", content_type))
        timeout_ms = None
        if self.timeout_seconds is not None:
            timeout_ms = whole_for(round(self.timeout_seconds * 1000), "timeout_seconds * 1000", 1)
        return text_for(self.method, "a method").upper(), text_for(self.url, "a URL"), pairs, body, timeout_ms


@dataclass
class Response:
    """A response. Every status is one, also 404 and 500."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: str | bytes = ""
    """Text if the bytes are valid UTF-8, and bytes otherwise."""

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body, with U+FFFD for what is not UTF-8."""
        return self.body if isinstance(self.body, str) else self.body.decode(errors="replace")

    @property
    def content(self) -> bytes:
        """The body as it was received."""
        return self.body.encode() if isinstance(self.body, str) else self.body

    def json(self) -> Any:
        """The body as JSON."""
        return _json.loads(self.content)

    def raise_for_status(self) -> Response:
        """This response, if its status is a success. 408, 429 and 5xx raise a `Retry`, other statuses from 300 on a `Reject`.

        The reason has the status and, of a body that is text, the first 200 characters.
        """
        if self.status < 300:
            return self
        reason = f"the call was answered with status {self.status}"
        if isinstance(self.body, str) and (body := excerpt(self.body)):
            reason = f"{reason}: {body}"
        if self.status in (408, 429) or self.status >= 500:
            after = self.headers.get("retry-after", "")
            raise Retry(reason, after_seconds=int(after) if after.isascii() and after.isdigit() else None)
        raise Reject(reason)
