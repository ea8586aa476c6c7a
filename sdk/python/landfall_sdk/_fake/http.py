from __future__ import annotations

from .._failure import HttpError
from .._messages import Request, Response
from .state import Current, sent


def send(request: Request) -> Response:
    result = _answer(request)
    if isinstance(result, HttpError):
        raise result
    return result


def send_all(requests: list[Request]) -> list[Response | HttpError]:
    return [_answer(request) for request in requests]


def _answer(request: Request) -> Response | HttpError:
    call = sent(request)
    for answer in Current.state.answers:
        is_method = answer.method is None or answer.method.upper() == call.method
        if answer.left > 0 and is_method and call.url.startswith(answer.url):
            answer.left -= 1
            if answer.error is not None:
                return HttpError(answer.error, f"{answer.error}, as the test says")  # type: ignore[arg-type]
            return answer.response
    return HttpError("denied", f"no answer of the test fits {call.method} {call.url}")
