"""The steps of a build that need no other package."""

import io
import os
import socket
import tempfile
import unittest
from contextlib import redirect_stderr
from pathlib import Path
from unittest import mock

from landfall_sdk import build
from landfall_sdk._imports import read_sources
from landfall_sdk._manifest import manifest, with_manifest
from landfall_sdk._problem import Problem
from landfall_sdk._register import handler, init, registered


class Builds(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)

    def write(self, **files):
        for name, text in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".py").write_text(text)

    def capabilities(self):
        return {name for source in read_sources(self.folder, "handler.py") for name in source.capabilities}

    def test_capabilities_are_found(self):
        cases = [
            ("from landfall_sdk import Event, handler", set()),
            ("from landfall_sdk import kv as store, emit", {"kv", "emit"}),
            ("from landfall_sdk.http import get", {"http"}),
            ("import landfall_sdk.table", {"table"}),
            ("import landfall_sdk as l\nl.settings.all()", {"settings"}),
            ("from landfall_sdk import *", {"emit", "http", "kv", "log", "settings", "table"}),
            ("def f():\n    from landfall_sdk import table", {"table"}),
            ("import http, kv", set()),
        ]
        for text, expected in cases:
            self.write(handler=text)
            self.assertEqual(self.capabilities(), expected, text)

    def test_other_modules_are_read(self):
        self.write(
            handler="import helper\nfrom pack import one",
            helper="from landfall_sdk import kv",
            pack__one="from .two import x\nfrom landfall_sdk import emit",
            pack__two="from landfall_sdk import table\nimport handler",
            unused="from landfall_sdk import http",
        )
        (self.folder / "pack/__init__.py").write_text("")
        self.assertEqual(self.capabilities(), {"kv", "emit", "table"})

    def test_mistakes_are_named_with_lines(self):
        cases = [
            ("x = (", r"handler\.py:1:5: '\(' was never closed"),
            ("@handler\nasync def f(e): ...", r"handler\.py:2: @handler is for a plain function"),
        ]
        for text, expected in cases:
            self.write(handler=text)
            with self.assertRaisesRegex(Problem, expected):
                read_sources(self.folder, "handler.py")

    def test_a_component_has_one_handler(self):
        (self.folder / "pyproject.toml").write_text('[project]\nname = "orders"\nversion = "1.0"\n')
        for text, expected in [
            ("def f(e): ...", "has no function with @handler"),
            ("@handler\ndef f(e): ...\n@handler\ndef g(e): ...", r"handler\.py:2 and handler\.py:4"),
        ]:
            self.write(handler=text)
            project = build.read_project(self.folder)
            with self.assertRaisesRegex(Problem, expected):
                build.check(project, read_sources(self.folder, project.handler))

    def test_missing_files_are_named(self):
        with self.assertRaisesRegex(Problem, "has no pyproject.toml"):
            build.read_project(self.folder)
        (self.folder / "pyproject.toml").write_text('[project]\nname = "orders"\n')
        with self.assertRaisesRegex(Problem, "there is no handler.py"):
            build.read_project(self.folder)
        (self.folder / "pyproject.toml").write_text("[project]\n")
        with self.assertRaisesRegex(Problem, "no `name`"):
            build.read_project(self.folder)

    def test_only_sources_are_copied(self):
        for name in ["handler.py", "pack/build/a.py", "secrets/key", "vendor/x.py", "pack/__pycache__/a.pyc", ".env", "shared/b.py"]:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        for name, target in [("gone", "nowhere"), ("pack/up", ".."), ("pack/shared", "../shared")]:
            (self.folder / name).symlink_to(target)
        os.mkfifo(self.folder / "pipe")
        bound = socket.socket(socket.AF_UNIX)
        self.addCleanup(bound.close)
        bound.bind(str(self.folder / "socket"))

        app = self.folder / "build/app"
        build.copy_sources(self.folder, app)
        copied = {str(path.relative_to(app)) for path in app.rglob("*") if path.is_file()}
        self.assertEqual(copied, {"handler.py", "pack/build/a.py", "pack/shared/b.py", "shared/b.py"})

    def test_unreadable_files_are_named(self):
        with mock.patch("shutil.copyfile", side_effect=PermissionError(13, "Permission denied", "helper.py")):
            self.write(handler="", helper="")
            with self.assertRaisesRegex(Problem, "(?s)cannot be copied for the build.*helper.py.*Permission denied"):
                build.copy_sources(self.folder, self.folder / "build/app")
        said = io.StringIO()
        with mock.patch.object(build, "build", side_effect=OSError(28, "No space left on device")), redirect_stderr(said):
            self.assertEqual(build.main([]), 1)
        self.assertEqual(said.getvalue(), "the build failed: [Errno 28] No space left on device\n")

    def test_wrong_tables_are_named(self):
        for text in ["project = 1\n", "[project]\nname = 1\n", "tool = 1\n"]:
            (self.folder / "pyproject.toml").write_text(text)
            with self.assertRaisesRegex(Problem, "no `name`"):
                build.read_project(self.folder)
        (self.folder / "pyproject.toml").write_bytes(b"\xff")
        with self.assertRaisesRegex(Problem, "is not TOML"):
            build.read_project(self.folder)

    def test_worlds_have_what_is_used(self):
        self.assertEqual(
            build.world(["kv", "log"], True),
            "package landfall:generated;\n\nworld component {\n  import landfall:kv/kv@0.1.0;\n  import landfall:hook/log@0.1.0;\n"
            "  export landfall:hook/handler@0.1.0;\n  export landfall:hook/responder@0.1.0;\n}\n",
        )

    def test_init_is_exported_if_used(self):
        self.write(handler="from landfall_sdk import handler, init\n@init\ndef f(): ...\n@handler\ndef g(event): ...\n")
        wanted = build.world_of(read_sources(self.folder, "handler.py"))
        self.assertIn("  export landfall:init/init@0.1.0;\n", wanted)
        self.assertEqual(build.imports_of(wanted), "from landfall_sdk._component import Handler, Init, loaded\n")

    def test_init_has_no_parameters(self):
        with self.assertRaisesRegex(TypeError, "without parameters: there is no event yet"):
            init(lambda event: None)

    def test_pyproject_describes_the_component(self):
        (self.folder / "manifest.toml").write_text('event-types = ["paid"]\n\n[needs]\nname = 1\n')
        (self.folder / "settings.schema.json").write_text('{ "type": "object" }\n')
        facts = {"name": "orders", "version": None, "description": 'Stores "orders"'}
        self.assertEqual(
            manifest(self.folder, facts),
            'manifest = 1\nname = "orders"\ndescription = "Stores \\"orders\\""\n'
            "settings-schema = '''\n{ \"type\": \"object\" }\n'''\nevent-types = [\"paid\"]\n\n[needs]\nname = 1\n",
        )

    def test_the_manifest_is_a_section(self):
        (self.folder / "manifest.toml").write_text("# " + "x" * 200)
        whole = with_manifest(b"\x01\x02", self.folder, "a", None, None)
        length = whole[3] & 0x7F | whole[4] << 7
        self.assertEqual((whole[:3], len(whole)), (b"\x01\x02\x00", 5 + length))
        self.assertEqual(whole[5:23], b"\x11landfall:manifest")

    def test_handlers_take_one_event(self):
        self.addCleanup(registered.clear)
        with self.assertRaisesRegex(TypeError, r"test_build\.py:\d+: @handler is for a function with one parameter"):
            handler(lambda: None)
        with self.assertRaisesRegex(TypeError, "not for `async def`"):

            @handler
            async def on_event(event): ...

        handler(lambda event: None)
        with self.assertRaisesRegex(TypeError, "there is a function with @handler already"):
            handler(lambda event: None)


if __name__ == "__main__":
    unittest.main()
