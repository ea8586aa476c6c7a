"""Values that the host stores for the hook. Needs `[allow] kv = true`. Writes are kept if the attempt succeeds."""

from __future__ import annotations

import json
from typing import Any

from ._failure import CapabilityError, whole_seconds
from ._host import capability
from ._reply import json_text
from ._values import optional_text, payload_for, text_for, whole_for

__all__ = [
    "CapabilityError",
    "compare_and_set",
    "delete",
    "get",
    "get_bytes",
    "get_json",
    "increment",
    "list_keys",
    "set",
    "set_json",
]

_host = capability("kv")


def get(key: str) -> str | None:
    """The text of a value. None if the key has no value or its value has expired."""
    value: str | bytes | None = _host.get(_key(key))
    try:
        # A host of an earlier version returns bytes if the value was stored as bytes.
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise TypeError(f"the value of {key!r} is not text: use kv.get_bytes") from None


def get_bytes(key: str) -> bytes | None:
    """The bytes of a value."""
    value: str | bytes | None = _host.get(_key(key))
    return value.encode() if isinstance(value, str) else value


def get_json(key: str) -> Any:
    """A value that `set_json` has written. None if the key has no value."""
    text = get(key)
    return None if text is None else json.loads(text)


def set(key: str, value: str | bytes, *, expires_in_seconds: float | None = None) -> None:
    """Sets a value. Without `expires_in_seconds` it never expires."""
    _host.set(_key(key), payload_for(value, "a value of kv"), _expiry(expires_in_seconds))


def set_json(key: str, value: object, *, expires_in_seconds: float | None = None) -> None:
    """Sets a value to a JSON document."""
    set(key, json_text(value, "the value of kv.set_json"), expires_in_seconds=expires_in_seconds)


def delete(key: str) -> None:
    """Deletes a value. A key without a value is no error."""
    _host.delete(_key(key))


def list_keys(prefix: str = "", *, after: str | None = None, limit: int = 1000) -> list[str]:
    """Keys that begin with `prefix`, in byte order, after `after`; at most `limit`, and at most 1,000."""
    words = text_for(prefix, "a prefix of kv"), optional_text(after, "`after`"), whole_for(limit, "`limit`")
    keys: list[str] = _host.list_keys(*words)
    return keys


def compare_and_set(
    key: str, expected: str | bytes | None, value: str | bytes, *, expires_in_seconds: float | None = None
) -> bool:
    """Sets the value if the present one is `expected` (None: the key has no value), and returns True.

    If another attempt changes it before this attempt is committed, nothing of this attempt is kept and the event runs again.
    """
    before = None if expected is None else payload_for(expected, "the expected value")
    after = payload_for(value, "a value of kv")
    is_set: bool = _host.compare_and_set(_key(key), before, after, _expiry(expires_in_seconds))
    return is_set


def increment(key: str, by: int = 1, *, expires_in_seconds: float | None = None) -> int:
    """Adds to a whole number and returns the sum as this attempt sees it."""
    return int(_host.increment(_key(key), whole_for(by, "an increment", -(2**31), 2**31 - 1), _expiry(expires_in_seconds)))


def _key(key: object) -> str:
    return text_for(key, "a key of kv")


def _expiry(seconds: float | None) -> int | None:
    return whole_seconds(seconds, "expires_in_seconds")
