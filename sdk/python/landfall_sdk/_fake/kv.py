from __future__ import annotations

from .state import Current


def _payload(value: str | bytes | None) -> str | bytes | None:
    """As a host returns it: valid UTF-8 is text."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def get(key: str) -> str | bytes | None:
    return _payload(Current.state.kv.get(key))


def set(key: str, value: str | bytes, expires_in_s: int | None) -> None:
    Current.state.kv[key] = value


def delete(key: str) -> None:
    Current.state.kv.pop(key, None)


def list_keys(prefix: str, after: str | None, limit: int) -> list[str]:
    keys = sorted(key for key in Current.state.kv if key.startswith(prefix) and (after is None or key > after))
    return keys[:limit]


def compare_and_set(key: str, expected: str | bytes | None, value: str | bytes, expires_in_s: int | None) -> bool:
    if get(key) != _payload(expected):
        return False
    set(key, value, expires_in_s)
    return True


def increment(key: str, by: int, expires_in_s: int | None) -> float:
    total = int(get(key) or "0") + by
    Current.state.kv[key] = str(total)
    return float(total)
