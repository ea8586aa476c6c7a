"""In a component while it is built: waits for the handler's modules (`_ahead.py`)."""

from __future__ import annotations

import os
import sys
import time

MODULES = "landfall_modules.txt"
"""Beside the package. It appears when the modules are there, and has the lines that import them."""

PAUSE_SECONDS = 0.03


def modules() -> str:
    file = os.path.join(os.path.dirname(os.path.dirname(__file__)), MODULES)
    while not os.path.exists(file):
        time.sleep(PAUSE_SECONDS)
    # What the folders had before is remembered. `importlib.invalidate_caches` would also import `importlib.metadata`.
    for finder in sys.path_importer_cache.values():
        if finder is not None and hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()
    with open(file, encoding="utf-8") as opened:
        return opened.read()
