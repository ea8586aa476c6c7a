"""`python -m landfall_sdk.build [DIR]`: builds the handler of a folder with a `pyproject.toml` into `build/NAME.wasm`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ._imports import Source, read_sources
from ._manifest import with_manifest
from ._problem import Problem

COMPONENTIZE_PY = "0.25.1"
"""The version that the SDK is tested with."""

WORLDS = {
    "emit": "landfall:emit/emit@0.1.0",
    "http": "landfall:http/http@0.1.0",
    "kv": "landfall:kv/kv@0.1.0",
    "log": "landfall:hook/log@0.1.0",
    "settings": "landfall:hook/settings@0.1.0",
    "table": "landfall:table/table@0.1.0",
}
"""The interface of each module."""

LEFT_OUT = ("build", "cases", "samples", "vendor", "tests", "node_modules", "__pycache__", "*.wasm", ".*")
"""What no handler imports."""

APP = "landfall_component"
SDK = Path(__file__).parent


@dataclass
class Project:
    """What `pyproject.toml` says about a handler."""

    folder: Path
    name: str
    version: str | None
    description: str | None
    handler: str


def main(arguments: list[str]) -> int:
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    try:
        if len(arguments) > 1:
            raise Problem(f"unknown arguments: {' '.join(arguments)}")
        print(build(Path(arguments[0] if arguments else ".").resolve()))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def build(folder: Path) -> str:
    """Builds and returns a line for the author."""
    started = time.monotonic()
    project = read_project(folder)
    sources = read_sources(folder, project.handler)
    check(project, sources)
    used = sorted({"log"} | {name for source in sources for name in source.capabilities})
    has_responder = sources[0].decorated.get("responder") is not None

    component = with_manifest(
        componentize(project, used, has_responder, sources), folder, project.name, project.version, project.description
    )
    file = folder / "build" / f"{project.name}.wasm"
    file.parent.mkdir(exist_ok=True)
    # The file appears as a whole: a node may be watching it.
    part = file.with_suffix(".part")
    part.write_bytes(component)
    part.replace(file)

    size, seconds = len(component) / 1024 / 1024, time.monotonic() - started
    return f"build/{file.name}: {size:.1f} MiB, imports {', '.join(used)}, built in {seconds:.1f} s"


def read_project(folder: Path) -> Project:
    try:
        with open(folder / "pyproject.toml", "rb") as file:
            table = tomllib.load(file)
    except FileNotFoundError:
        raise Problem(f"{folder} has no pyproject.toml: run this in the folder of a handler, or name the folder") from None
    except tomllib.TOMLDecodeError as error:
        raise Problem(f"pyproject.toml is not TOML: {error}") from None

    project = table.get("project", {})
    name = project.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise Problem(f"pyproject.toml has no `name` under [project] that can be the name of a file: {name!r}")
    handler = table.get("tool", {}).get("landfall", {}).get("handler", "handler.py")
    if not (folder / handler).is_file():
        raise Problem(f"there is no {handler}: write it, or name your file in pyproject.toml: [tool.landfall] handler = \"FILE\"")
    return Project(folder, name, project.get("version"), project.get("description"), handler)


def check(project: Project, sources: list[Source]) -> None:
    """What can be seen without running anything."""
    first = sources[0]
    if "handler" not in first.decorated:
        raise Problem(
            f"{project.handler} has no function with @handler: write\n\n"
            "    from landfall_sdk import Event, handler\n\n"
            "    @handler\n    def on_event(event: Event) -> None: ..."
        )
    for kind, functions in first.decorated.items():
        if len(functions) > 1:
            places = " and ".join(f"{project.handler}:{line}" for line in functions)
            raise Problem(f"a component has one function with @{kind}, not several: {places}")


def componentize(project: Project, used: list[str], has_responder: bool, sources: list[Source]) -> bytes:
    check_tool()
    with tempfile.TemporaryDirectory(prefix="landfall-build-") as name:
        stage = Path(name)
        app, wit = stage / "app", stage / "wit"
        left_out = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(project.folder, app, ignore=left_out, ignore_dangling_symlinks=True)
        shutil.copytree(SDK, app / "landfall_sdk", ignore=shutil.ignore_patterns("wit", "__pycache__"), dirs_exist_ok=True)
        shutil.copytree(SDK / "wit", wit / "deps")
        (wit / "world.wit").write_text(world(used, has_responder))
        (app / f"{APP}.py").write_text(entry(project.handler, has_responder, sources))
        run_tool(project, stage)
        return (stage / "component.wasm").read_bytes()


def world(used: list[str], has_responder: bool) -> str:
    lines = [f"  import {WORLDS[name]};" for name in used]
    lines.append("  export landfall:hook/handler@0.1.0;")
    if has_responder:
        lines.append("  export landfall:hook/responder@0.1.0;")
    body = "\n".join(lines)
    return f"package landfall:generated;\n\nworld component {{\n{body}\n}}\n"


def entry(handler: str, has_responder: bool, sources: list[Source]) -> str:
    module = handler.removesuffix(".py").replace("/", ".")
    exported = "Handler, Responder, loaded" if has_responder else "Handler, loaded"
    modules = sorted({name for source in sources for name in source.modules if name})
    return f"from landfall_sdk._component import {exported}\n\nimport {module}\n\nloaded({modules!r})\n"


def check_tool() -> None:
    try:
        found = metadata.version("componentize-py")
    except metadata.PackageNotFoundError:
        found = None
    if found != COMPONENTIZE_PY:
        is_there = f"componentize-py {found} is installed" if found else "componentize-py is not installed"
        raise Problem(
            f"{is_there}, and landfall-sdk needs {COMPONENTIZE_PY}: "
            f"{sys.executable} -m pip install componentize-py=={COMPONENTIZE_PY}"
        )


def run_tool(project: Project, stage: Path) -> None:
    environment = dict(os.environ)
    if sys.prefix != sys.base_prefix:
        # Packages that the author has installed are found there.
        environment["VIRTUAL_ENV"] = sys.prefix
    command = [sys.executable, "-c", "from componentize_py import script; script()"]
    command += ["--quiet", "-d", "wit", "-w", "component", "componentize", APP, "-p", "app", "-o", "component.wasm"]
    done = subprocess.run(command, cwd=stage, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(explained(project, done.stdout + done.stderr))


def explained(project: Project, output: str) -> str:
    """What the tool said, with the author's files instead of those of the build."""
    text = re.sub(r'File "/\d+/', f'File "{project.folder}/', output).strip()
    traceback = text.find("Traceback (most recent call last)")
    if traceback >= 0:
        text = text[traceback:]
    return f"{project.handler} cannot be imported. What stands outside functions runs once, when the component is built:\n{text}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
