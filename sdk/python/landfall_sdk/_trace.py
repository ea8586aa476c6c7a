"""Exceptions as text for the operator: what, where, and the lines of the author's files."""

from __future__ import annotations

import linecache
import os
import traceback
from pathlib import PurePath
from types import TracebackType

_FRAMES_MAX = 8
_CAUSES_MAX = 5
_GROUP_MAX = 5
_GROUPS_MAX = 2
_SDK = str(PurePath(__file__).parent)
_STANDARD = str(PurePath(traceback.__file__).parent)


def described(error: BaseException) -> str:
    """The exception, where it was raised, the frames above it, and its causes. The innermost frame is first."""
    try:
        return _chain(error)
    except BaseException:
        return f"an exception that cannot be printed: {type(error).__name__}"


def _chain(error: BaseException, groups: int = 0) -> str:
    lines: list[str] = []
    following: BaseException | None = error
    for depth in range(_CAUSES_MAX):
        if following is None:
            break
        frames = _frames(following.__traceback__)
        place = f" ({frames[0][0]})" if frames else ""
        lines.append(f"{'caused by ' if depth else ''}{_headline(following)}{place}")
        lines += [f"  {place} in {name}{code}" for place, name, code in frames]
        if isinstance(following, BaseExceptionGroup) and groups < _GROUPS_MAX:
            lines += _members(following, groups + 1)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return "\n".join(lines)


def _members(group: BaseExceptionGroup[BaseException], groups: int) -> list[str]:
    """The exceptions of a group, each with its own causes."""
    count = len(group.exceptions)
    members = enumerate(group.exceptions[:_GROUP_MAX], 1)
    return [f"{number} of {count}: {_chain(member, groups)}" for number, member in members]


def _headline(error: BaseException) -> str:
    kind = getattr(error, "kind", None)
    name = f"{type(error).__name__} ({kind})" if isinstance(kind, str) else type(error).__name__
    text = str(error)
    return f"{name}: {text}" if text else name


def _frames(trace: TracebackType | None) -> list[tuple[str, str, str]]:
    frames = []
    for frame in reversed(traceback.extract_tb(trace, limit=None)):
        if frame.filename.startswith(_SDK) or frame.filename.startswith("<") or _is_standard(frame.filename):
            continue
        code = (frame.line or "").strip()
        frames.append((f"{short(frame.filename)}:{frame.lineno}", frame.name, f": {code}" if code else ""))
    return frames[:_FRAMES_MAX]


def _is_standard(filename: str) -> bool:
    """Whether a file is part of Python. Packages can be installed below its folder."""
    return filename.startswith(f"{_STANDARD}/") and "site-packages" not in filename


def short(filename: str) -> str:
    """The path below the handler's folder. In a component, each directory of the build is `/0`, `/1`, …"""
    parts = PurePath(filename).parts
    if len(parts) > 2 and parts[0] == "/" and parts[1].isdigit():
        return "/".join(parts[2:])
    try:
        return str(PurePath(filename).relative_to(os.getcwd()))
    except ValueError:
        return filename


def remember_sources(modules: list[object]) -> None:
    """Keeps the source lines of the author's modules, which are not there when the component runs."""
    for module in modules:
        filename = getattr(module, "__file__", None)
        if not isinstance(filename, str) or filename.startswith(_SDK) or not filename.endswith(".py"):
            continue
        lines = linecache.getlines(filename)
        if lines:
            # Without a time of change, `linecache` never looks for the file again.
            linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
