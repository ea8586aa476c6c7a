"""A run of componentize-py that was begun before the handler's modules were saved.

It links and compiles the interpreter and imports the SDK, which takes most of the time of a build. Then it waits for the modules
(`_waiting.py`)."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

from ._waiting import MODULES

LINKED = ("*.so", "componentize-py.toml")
"""Files of packages that the tool reads before it waits."""


class Ahead:
    """The run: its folder, what its component imports and exports, and its process."""

    def __init__(self, stage: Path, world: str, tool: subprocess.Popen[str]) -> None:
        self.stage = stage
        self.world = world
        self.tool = tool
        self._packages = _packages()

    @property
    def app(self) -> Path:
        return self.stage / "app"

    def fits(self, world: str) -> bool:
        """Whether it can build a component of this world. It cannot after packages were installed."""
        return self.world == world and self._packages == _packages() and self.tool.poll() is None

    def has_linked(self) -> bool:
        """Whether it came too early for the modules that were copied to `app`."""
        return any(True for name in LINKED for _ in self.app.rglob(name))

    def go_on(self, modules: str) -> None:
        """Lets it import what was copied to `app`, by these lines."""
        part = self.app / f"{MODULES}.part"
        part.write_text(modules, encoding="utf-8")
        part.replace(self.app / MODULES)

    def stop(self) -> None:
        """Ends it, if it has not ended."""
        self.tool.kill()
        self.tool.wait()
        for pipe in (self.tool.stdout, self.tool.stderr):
            if pipe is not None:
                pipe.close()


def _packages() -> int | None:
    """Changes when a package is installed."""
    try:
        return Path(sysconfig.get_path("purelib")).stat().st_mtime_ns
    except OSError:
        return None
