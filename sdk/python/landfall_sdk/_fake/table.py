import json

from .state import Current


def append(table: str, row: str) -> None:
    Current.state.rows.append((table, json.loads(row)))
