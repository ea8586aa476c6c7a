"""Outbound calls. The operator lists what may be reached under `[allow] http`, and adds the credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ._failure import HttpError
from ._host import capability
from ._messages import NOTHING, Request, Response
from ._reply import HeadersInit

__all__ = ["HttpError", "Request", "Response", "get", "post", "request", "send", "send_all"]

_host = capability("http")


def send(request: Request) -> Response:
    """Sends a request. Without a response it raises an `HttpError`."""
    response: Response = _host.send(request)
    return response


def send_all(requests: Iterable[Request]) -> list[Response | HttpError]:
    """Sends several requests, up to eight at a time. The results have the order of the requests."""
    results: list[Response | HttpError] = _host.send_all(list(requests))
    return results


def request(
    method: str,
    url: str,
    *,
    headers: HeadersInit | None = None,
    json: object = NOTHING,
    form: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    body: str | bytes | None = None,
    timeout_seconds: float | None = None,
) -> Response:
    """Sends a request that is made of these values."""
    return send(Request(method, url, headers, json, form, body, timeout_seconds))


def get(url: str, *, headers: HeadersInit | None = None, timeout_seconds: float | None = None) -> Response:
    """Sends a `GET`."""
    return send(Request("GET", url, headers, timeout_seconds=timeout_seconds))


def post(
    url: str,
    *,
    json: object = NOTHING,
    form: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    body: str | bytes | None = None,
    headers: HeadersInit | None = None,
    timeout_seconds: float | None = None,
) -> Response:
    """Sends a `POST`."""
    return send(Request("POST", url, headers, json, form, body, timeout_seconds))
