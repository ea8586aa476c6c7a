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
from typing import Any

from ._ahead import Ahead
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

LEFT_OUT_AT_TOP = ("build", "cases", "samples", "secrets", "tests", "vendor")
"""Folders of a handler that it does not import. Below, the same names may be those of packages."""

LEFT_OUT = ("node_modules", "__pycache__", "*.wasm", ".*")
"""What no handler imports, in any folder."""

APP = "landfall_component"
OWN = ("landfall_sdk", f"{APP}.py")
"""What a component has beside the files of its handler."""

SDK = Path(__file__).parent

WORLD = "world.wit"
"""In `build/`: what the last component imports and exports."""

AHEAD = "--ahead"
"""Begins a build that goes on after a line on standard input. If that ends without a line, nothing is built."""

AHEAD_NICENESS = 5


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
        folders = [argument for argument in arguments if argument != AHEAD]
        if len(folders) > 1:
            raise Problem(f"unknown arguments: {' '.join(arguments)}")
        folder = Path(folders[0] if folders else ".").resolve()
        if AHEAD in arguments:
            build_ahead(folder)
        else:
            print(build(folder))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except OSError as error:
        # A file or the disk, which the author can correct.
        print(f"the build failed: {error}", file=sys.stderr)
        return 1
    return 0


def build(folder: Path, ahead: Ahead | None = None) -> str:
    """Builds and returns a line for the author."""
    started = time.monotonic()
    project = read_project(folder)
    sources = read_sources(folder, project.handler)
    check(project, sources)
    used = used_by(sources)
    wanted = world_of(sources)

    component = with_manifest(
        componentize(project, wanted, sources, ahead), folder, project.name, project.version, project.description
    )
    file = folder / "build" / f"{project.name}.wasm"
    file.parent.mkdir(exist_ok=True)
    (file.parent / WORLD).write_text(wanted)
    # The file appears as a whole: a node may be watching it.
    part = file.with_suffix(".part")
    part.write_bytes(component)
    part.replace(file)

    size, seconds = len(component) / 1024 / 1024, time.monotonic() - started
    return f"build/{file.name}: {size:.1f} MiB, imports {', '.join(used)}, built in {seconds:.1f} s"


def build_ahead(folder: Path) -> None:
    """Does what the handler's modules are not needed for, waits until they are saved, and builds."""
    # No author waits for it yet.
    os.nice(AHEAD_NICENESS)
    with tempfile.TemporaryDirectory(prefix="landfall-build-") as stage:
        ahead = begin(folder, Path(stage))
        try:
            if sys.stdin.readline():
                print(build(folder, ahead))
        finally:
            if ahead is not None:
                ahead.stop()


def begin(folder: Path, stage: Path) -> Ahead | None:
    """Begins to build the world of the sources, or the last one if they have a mistake now. None: without either."""
    try:
        check_tool()
        project = read_project(folder)
        sources = read_sources(folder, project.handler)
        check(project, sources)
        wanted = world_of(sources)
    except Problem:
        try:
            wanted = (folder / "build" / WORLD).read_text()
        except OSError:
            return None

    prepare(stage, wanted)
    lines = f"{imports_of(wanted)}from landfall_sdk._waiting import modules\n\nexec(modules())\n"
    (stage / "app" / f"{APP}.py").write_text(lines)
    return Ahead(stage, wanted, start_tool(stage))


def used_by(sources: list[Source]) -> list[str]:
    return sorted({"log"} | {name for source in sources for name in source.capabilities})


def world_of(sources: list[Source]) -> str:
    exported = sources[0].decorated
    return world(used_by(sources), "responder" in exported, "init" in exported)


def read_project(folder: Path) -> Project:
    try:
        with open(folder / "pyproject.toml", "rb") as file:
            table = tomllib.load(file)
    except FileNotFoundError:
        raise Problem(f"{folder} has no pyproject.toml: run this in the folder of a handler, or name the folder") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Problem(f"pyproject.toml is not TOML: {error}") from None

    project = table_in(table, "project")
    name = project.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise Problem(f"pyproject.toml has no `name` under [project] that can be the name of a file: {name!r}")
    handler = table_in(table_in(table, "tool"), "landfall").get("handler", "handler.py")
    if not isinstance(handler, str) or not (folder / handler).is_file():
        raise Problem(f"there is no {handler}: write it, or name your file in pyproject.toml: [tool.landfall] handler = \"FILE\"")
    return Project(folder, name, project.get("version"), project.get("description"), handler)


def table_in(table: dict[str, Any], key: str) -> dict[str, Any]:
    found = table.get(key)
    return found if isinstance(found, dict) else {}


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


def componentize(project: Project, wanted: str, sources: list[Source], ahead: Ahead | None) -> bytes:
    check_tool()
    modules = modules_of(project.handler, sources)
    if ahead is not None:
        if ahead.fits(wanted):
            copy_sources(project.folder, ahead.app, OWN)
            if not ahead.has_linked():
                ahead.go_on(modules)
                return component_of(project, ahead.stage, ahead.tool)
        ahead.stop()

    with tempfile.TemporaryDirectory(prefix="landfall-build-") as name:
        stage = Path(name)
        copy_sources(project.folder, stage / "app")
        prepare(stage, wanted)
        (stage / "app" / f"{APP}.py").write_text(f"{imports_of(wanted)}\n{modules}")
        return component_of(project, stage, start_tool(stage))


def prepare(stage: Path, wanted: str) -> None:
    """What the tool needs beside the modules of the handler."""
    app, wit = stage / "app", stage / "wit"
    shutil.copytree(SDK, app / "landfall_sdk", ignore=shutil.ignore_patterns("wit", "__pycache__"), dirs_exist_ok=True)
    shutil.copytree(SDK / "wit", wit / "deps")
    (wit / "world.wit").write_text(wanted)


def copy_sources(folder: Path, app: Path, own: tuple[str, ...] = ()) -> None:
    """Copies what the handler may import. Links are followed, except to nothing and in circles; pipes and sockets are left out."""
    in_any_folder = shutil.ignore_patterns(*LEFT_OUT)

    def left_out(directory: str, names: list[str]) -> set[str]:
        is_top = Path(directory) == folder
        out = set(in_any_folder(directory, names)) | ({*LEFT_OUT_AT_TOP, *own} & set(names) if is_top else set())
        return out | {name for name in set(names) - out if not is_source(Path(directory, name))}

    try:
        shutil.copytree(folder, app, ignore=left_out, dirs_exist_ok=True)
    except shutil.Error as error:
        reasons = [f"{source}: {reason}" for source, _, reason in error.args[0]]
        raise Problem("these files cannot be copied for the build:\n" + "\n".join(reasons)) from None


def is_source(path: Path) -> bool:
    if not path.is_dir():
        return path.is_file()
    # A link to a folder that this one is in would have no end.
    return not (path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve()))


def world(used: list[str], has_responder: bool, has_init: bool = False) -> str:
    lines = [f"  import {WORLDS[name]};" for name in used]
    lines.append("  export landfall:hook/handler@0.1.0;")
    if has_responder:
        lines.append("  export landfall:hook/responder@0.1.0;")
    if has_init:
        lines.append("  export landfall:init/init@0.1.0;")
    body = "\n".join(lines)
    return f"package landfall:generated;\n\nworld component {{\n{body}\n}}\n"


def imports_of(wanted: str) -> str:
    """The first line of the component: what a component of this world exports."""
    optional = {"Responder": "/responder@", "Init": "/init@"}
    exported = ["Handler", *(name for name, interface in optional.items() if interface in wanted), "loaded"]
    return f"from landfall_sdk._component import {', '.join(exported)}\n"


def modules_of(handler: str, sources: list[Source]) -> str:
    """The lines that import the handler."""
    module = handler.removesuffix(".py").replace("/", ".")
    modules = sorted({name for source in sources for name in source.modules if name})
    return f"import {module}\n\nloaded({modules!r})\n"


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


def start_tool(stage: Path) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    # It leaves files there if it is killed.
    environment["TMPDIR"] = str(stage)
    if sys.prefix != sys.base_prefix:
        # Packages that the author has installed are found there.
        environment["VIRTUAL_ENV"] = sys.prefix
    command = [sys.executable, "-c", "from componentize_py import script; script()"]
    command += ["--quiet", "-d", "wit", "-w", "component", "componentize", APP, "-p", "app", "-o", "component.wasm"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=stage, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)


def component_of(project: Project, stage: Path, tool: subprocess.Popen[str]) -> bytes:
    said, errors = tool.communicate()
    if tool.returncode != 0:
        raise Problem(explained(project, said + errors))
    return (stage / "component.wasm").read_bytes()


def explained(project: Project, output: str) -> str:
    """What the tool said, with the author's files instead of those of the build."""
    text = re.sub(r'File "/\d+/', f'File "{project.folder}/', output).strip()
    traceback = text.find("Traceback (most recent call last)")
    if traceback >= 0:
        text = text[traceback:]
    return f"{project.handler} cannot be imported. What stands outside functions runs once, when the component is built:\n{text}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
