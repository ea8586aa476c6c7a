"""The manifest of a component: what `pyproject.toml` says, the schema of the settings, and `manifest.toml`."""

from __future__ import annotations

import re
from pathlib import Path

from ._problem import Problem

SECTION = b"landfall:manifest"


def with_manifest(
    component: bytes, folder: Path, name: str, version: str | None, description: str | None
) -> bytes:
    """The component with its manifest as a custom section."""
    text = manifest(folder, {"name": name, "version": version, "description": description})
    content = leb128(len(SECTION)) + SECTION + text.encode()
    return component + b"\x00" + leb128(len(content)) + content


def manifest(folder: Path, facts: dict[str, str | None]) -> str:
    own = optional(folder / "manifest.toml")
    schema = optional(folder / "settings.schema.json")
    keys = top_level_keys(own)

    # TOML wants keys before tables, so those of pyproject.toml are first.
    lines = [] if "manifest" in keys else ["manifest = 1"]
    lines += [f"{key} = {quoted(value)}" for key, value in facts.items() if value and key not in keys]
    if schema:
        if "settings-schema" in keys:
            raise Problem("manifest.toml has settings-schema, and there is a settings.schema.json: remove one of them")
        if "'''" in schema:
            raise Problem("settings.schema.json has three quotes in a row, which a manifest cannot have")
        lines.append(f"settings-schema = '''\n{schema.rstrip()}\n'''")
    return "\n".join(lines) + "\n" + own


def optional(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise Problem(f"{path.name} is not UTF-8: {error}") from None


def top_level_keys(toml: str) -> set[str]:
    """The keys before the first table."""
    before = re.split(r"^\[", toml, maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r'^"?([A-Za-z0-9_-]+)"?\s*=', before, re.MULTILINE))


def quoted(text: str) -> str:
    def control(found: re.Match[str]) -> str:
        return f"\\u{ord(found[0]):04x}"

    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", control, escaped) + '"'


def leb128(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
