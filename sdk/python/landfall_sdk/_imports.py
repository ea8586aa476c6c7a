"""What the author's modules import, found without running them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from ._problem import Problem

PACKAGE = "landfall_sdk"
CAPABILITIES = ("emit", "http", "kv", "log", "settings", "table")


@dataclass
class Source:
    """One module of the author."""

    path: str
    capabilities: set[str] = field(default_factory=set)
    """The modules of the SDK that need an interface."""
    decorated: dict[str, list[int]] = field(default_factory=dict)
    """The lines of functions with `@handler`, `@responder` and `@init`."""
    modules: set[str] = field(default_factory=set)
    """Other modules that it imports."""


def read_sources(folder: Path, handler: str) -> list[Source]:
    """The handler's module, and the modules of its folder that it imports, directly or not."""
    found: dict[str, Source] = {}
    waiting = [handler]
    while waiting:
        path = waiting.pop(0)
        if path in found:
            continue
        found[path] = read_source(folder, path)
        waiting += [file for name in sorted(found[path].modules) for file in files_of(folder, name)]
    return list(found.values())


def files_of(folder: Path, module: str) -> list[str]:
    """The files of a module of the folder, and of the packages above it."""
    parts = module.split(".")
    files = []
    for end in range(1, len(parts) + 1):
        base = "/".join(parts[:end])
        files += [file for file in (f"{base}.py", f"{base}/__init__.py") if (folder / file).is_file()]
    return files


def read_source(folder: Path, path: str) -> Source:
    try:
        tree = ast.parse((folder / path).read_bytes(), path)
    except SyntaxError as error:
        line = (error.text or "").rstrip()
        raise Problem(f"{path}:{error.lineno}:{error.offset}: {error.msg}\n    {line.strip()}") from None
    except ValueError as error:
        # A NUL, in versions of Python before 3.12.
        raise Problem(f"{path}: {error}") from None

    source = Source(path)
    package = path.replace("/", ".").rpartition(".")[0].rpartition(".")[0]
    aliases: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for name in node.names:
                    source.modules.add(name.name)
                    if name.name.split(".")[0] == PACKAGE:
                        aliases.add(name.asname or PACKAGE)
                        source.capabilities |= capability_of(name.name.removeprefix(f"{PACKAGE}."))
            case ast.ImportFrom():
                read_import(source, node, package)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=attribute) if module in aliases:
                source.capabilities |= capability_of(attribute)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                read_function(source, node)
    return source


def read_import(source: Source, node: ast.ImportFrom, package: str) -> None:
    module = node.module or ""
    if node.level:
        above = package.split(".") if package else []
        base = above[: len(above) - node.level + 1]
        module = ".".join([*base, module] if module else base)
    source.modules.add(module)
    source.modules |= {f"{module}.{name.name}" for name in node.names}
    if module == PACKAGE:
        for name in node.names:
            source.capabilities |= set(CAPABILITIES) if name.name == "*" else capability_of(name.name)
    elif module.startswith(f"{PACKAGE}."):
        source.capabilities |= capability_of(module.removeprefix(f"{PACKAGE}."))


def read_function(source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Name(id=("handler" | "responder" | "init") as kind):
                pass
            case ast.Attribute(value=ast.Name(), attr=("handler" | "responder" | "init") as kind):
                pass
            case _:
                continue
        if isinstance(node, ast.AsyncFunctionDef):
            raise Problem(
                f"{source.path}:{node.lineno}: @{kind} is for a plain function, not for `async def`: calls of the host do not wait"
            )
        source.decorated.setdefault(kind, []).append(node.lineno)


def capability_of(name: str) -> set[str]:
    first = name.split(".")[0].removeprefix("_")
    return {first} if first in CAPABILITIES else set()
