"""Rows that the host stores in named tables. Needs `[allow] table = ["NAME"]`. Rows are kept if the attempt succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._failure import CapabilityError
from ._host import capability
from ._reply import json_text
from ._values import text_for

__all__ = ["CapabilityError", "append"]

_host = capability("table")


def append(table: str, row: Mapping[str, Any]) -> None:
    """Appends one row."""
    _host.append(text_for(table, "the name of a table"), json_text(dict(row), "a row"))
