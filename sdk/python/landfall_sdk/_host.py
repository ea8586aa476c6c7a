"""The host behind the modules of the SDK: the contract in a component, a fake in native tests."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

IN_COMPONENT = importlib.util.find_spec("wit_world") is not None


def capability(name: str) -> Any:
    """The functions of a capability, with the same names in `_contract` and `_fake`."""
    if not IN_COMPONENT:
        return importlib.import_module(f"landfall_sdk._fake.{name}")
    try:
        return importlib.import_module(f"landfall_sdk._contract.{name}")
    except ImportError as error:
        raise ImportError(
            f"the component was built without `{name}`: write `from landfall_sdk import {name}` at the top of handler.py, "
            "where the build finds it"
        ) from error
