"""Builds that were begun before the handler's modules were saved. The tool is a script, and its component is the handler's text."""

import io
import os
import subprocess
import tempfile
import threading
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from landfall_sdk import _waiting, build

WAITS = "while ! [ -e app/landfall_modules.txt ]; do sleep 0.01; done; cat app/landfall_modules.txt >> component.wasm"
BUILDS = "cat app/handler.py > component.wasm"
BUILDS_LATER = f"echo waits > component.wasm; {WAITS}; cat app/handler.py >> component.wasm"
HANDLER = "from landfall_sdk import handler\n@handler\ndef f(e): ...\n"


class BuildsAhead(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name, "orders")
        self.folder.mkdir()
        (self.folder / "pyproject.toml").write_text('[project]\nname = "orders"\n')
        self.tools = []
        for name, stand_in in [("check_tool", lambda: None), ("start_tool", self.start_tool)]:
            patched = mock.patch.object(build, name, stand_in)
            patched.start()
            self.addCleanup(patched.stop)

    def start_tool(self, stage):
        pipe = subprocess.PIPE
        # The process may start later than the modules come.
        script = BUILDS if Path(stage, "app/handler.py").exists() else BUILDS_LATER
        tool = subprocess.Popen(["sh", "-c", script], cwd=stage, stdout=pipe, stderr=pipe, text=True)
        self.tools.append(tool)
        return tool

    def write(self, text):
        (self.folder / "handler.py").write_text(text)

    def build_ahead(self, change=lambda: None):
        """What was built after `change`, and what was printed."""
        read, write = os.pipe()

        def save():
            change()
            os.write(write, b"\n")
            os.close(write)

        thread = threading.Timer(0.2, save)
        thread.start()
        said = io.StringIO()
        with os.fdopen(read) as lines, mock.patch("sys.stdin", lines), mock.patch("os.nice"):
            with redirect_stdout(said), redirect_stderr(said):
                code = build.main(["--ahead", str(self.folder)])
        thread.join()
        component = self.folder / "build/orders.wasm"
        self.assertTrue(all(tool.poll() is not None for tool in self.tools))
        return code, component.read_bytes() if component.exists() else b"", said.getvalue()

    def test_later_modules_are_built(self):
        self.write(HANDLER)
        code, component, _ = self.build_ahead(lambda: self.write(HANDLER + "# later\n"))
        self.assertEqual(code, 0)
        self.assertTrue(component.startswith(b"waits\nimport handler\n\nloaded(['landfall_sdk"), component)
        self.assertIn(b"# later", component)
        self.assertEqual(len(self.tools), 1)

    def test_other_worlds_begin_again(self):
        self.write(HANDLER)
        code, component, _ = self.build_ahead(lambda: self.write("from landfall_sdk import kv\n" + HANDLER))
        self.assertEqual((code, len(self.tools)), (0, 2))
        self.assertTrue(component.startswith(b"from landfall_sdk import kv"), component)
        self.assertIn("kv/kv", (self.folder / "build/world.wit").read_text())

    def test_linked_files_begin_again(self):
        self.write(HANDLER)
        code, _, _ = self.build_ahead(lambda: (self.folder / "fast.so").write_text(""))
        self.assertEqual((code, len(self.tools)), (0, 2))

    def test_new_packages_begin_again(self):
        self.write(HANDLER)
        with mock.patch("landfall_sdk._ahead._packages", side_effect=[1, 2]):
            code, _, _ = self.build_ahead()
        self.assertEqual((code, len(self.tools)), (0, 2))

    def test_mistakes_wait_for_their_correction(self):
        self.write("x = (")
        code, _, said = self.build_ahead()
        self.assertEqual((code, len(self.tools)), (1, 0))
        self.assertIn("handler.py:1:5", said)
        # The world of the last component is known.
        self.write(HANDLER)
        self.build_ahead()
        self.write("x = (")
        code, component, _ = self.build_ahead(lambda: self.write(HANDLER))
        self.assertEqual((code, component[:6], len(self.tools)), (0, b"waits\n", 2))

    def test_nothing_is_built_unasked(self):
        self.write(HANDLER)
        with mock.patch("sys.stdin", io.StringIO()), mock.patch("os.nice"):
            self.assertEqual(build.main(["--ahead", str(self.folder)]), 0)
        self.assertFalse((self.folder / "build").exists())
        self.assertIsNotNone(self.tools[0].poll())


class Waits(unittest.TestCase):
    def test_modules_are_read_when_there(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, _waiting.MODULES)
            with mock.patch.object(_waiting, "__file__", f"{folder}/landfall_sdk/_waiting.py"):
                with mock.patch("time.sleep", lambda seconds: file.write_text("import handler\n")):
                    self.assertEqual(_waiting.modules(), "import handler\n")


if __name__ == "__main__":
    unittest.main()
