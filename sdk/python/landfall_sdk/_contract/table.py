from wit_world.imports import table as _table

from .._failure import CapabilityError
from .payload import errors


def append(table: str, row: str) -> None:
    with errors(CapabilityError):
        _table.append(table, row)
