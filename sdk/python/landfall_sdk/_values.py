"""Values for the host.

The interpreter ends the component if it is given another type than the contract has, or text with half of a surrogate pair, which JSON can
have. So everything is checked here first.
"""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")

U32_MAX = 0xFFFFFFFF


def well_formed(text: str) -> str:
    """The text with U+FFFD for half surrogate pairs."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def text_for(value: object, what: str) -> str:
    """Text."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is text, not {type(value).__name__}")
    return well_formed(value)


def optional_text(value: object, what: str) -> str | None:
    """Text that may be left out."""
    return None if value is None else text_for(value, what)


def payload_for(value: object, what: str) -> str | bytes:
    """A body or a value."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"{what} is text or bytes, not {type(value).__name__}")


def whole_for(value: object, what: str, least: int = 0, most: int = U32_MAX) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise TypeError(f"{what} is a whole number from {least} to {most}, not {value!r}")
    return value
