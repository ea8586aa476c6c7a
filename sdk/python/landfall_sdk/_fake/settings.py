from __future__ import annotations

import json

from .state import Current


def get(key: str) -> str | None:
    value = Current.state.settings.get(key)
    return value if value is None or isinstance(value, str) else json.dumps(value)


def all() -> str:
    return json.dumps(Current.state.settings)
