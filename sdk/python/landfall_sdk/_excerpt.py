"""The beginning of a text, for reasons."""

from __future__ import annotations

import re

CHARACTERS_MAX = 200
"""The most characters of a text that a reason repeats."""

_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def excerpt(text: str) -> str:
    """The first characters of a text on one line: control characters are escaped, and `…` follows if something is left out."""
    text = text.strip()
    first = _CONTROL.sub(_escaped, text[:CHARACTERS_MAX])
    return f"{first}…" if len(text) > CHARACTERS_MAX else first


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    return _ESCAPES.get(character, f"\\u{{{ord(character):x}}}")
