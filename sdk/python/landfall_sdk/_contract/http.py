from componentize_py_types import Ok
from wit_world.imports import http as _http

from .._event import Headers
from .._failure import HttpError
from .._messages import Request, Response
from .payload import case, errors, payload_of


def send(request: Request) -> Response:
    raw = _raw(request)
    with errors(HttpError):
        response = _http.send(raw)
    return _response(response)


def send_all(requests: list[Request]) -> list[Response | HttpError]:
    results = _http.send_all([_raw(request) for request in requests])
    return [_response(result.value) if isinstance(result, Ok) else HttpError(*case(result.value)) for result in results]


def _raw(request: Request) -> _http.Request:
    method, url, headers, body, timeout_ms = request.raw()
    return _http.Request(method, url, headers, None if body is None else payload_of(body), timeout_ms)


def _response(raw: _http.Response) -> Response:
    return Response(raw.status, Headers(raw.headers), raw.body.value)
