"""The `[settings]` table of the hook file. It has no secrets."""

from __future__ import annotations

import json
from typing import Any

from ._host import capability
from ._values import text_for

_host = capability("settings")


def get(key: str) -> str | None:
    """One setting: the text of a string, the JSON form of another value, None if it is not set."""
    value: str | None = _host.get(text_for(key, "the key of a setting"))
    return value


def all() -> dict[str, Any]:
    """The whole table."""
    table: dict[str, Any] = json.loads(_host.all())
    return table
