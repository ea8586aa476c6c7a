from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from componentize_py_types import Err
from wit_world.imports.types import Payload_Binary, Payload_Text


def payload_of(value: str | bytes) -> Payload_Text | Payload_Binary:
    return Payload_Text(value) if isinstance(value, str) else Payload_Binary(value)


def case(error: object) -> tuple[str, str]:
    """Name and text of a case: `("denied", …)` of `HttpError_Denied`. Every name is one word."""
    return type(error).__name__.rpartition("_")[2].lower(), error.value


@contextmanager
def errors(kind: Callable[[str, str], Exception]) -> Iterator[None]:
    """Turns the error of a call into an exception of the SDK."""
    try:
        yield
    except Err as error:
        raise kind(*case(error.value)) from None
