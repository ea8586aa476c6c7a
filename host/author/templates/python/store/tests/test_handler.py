import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from handler import handle
from landfall_sdk import testing


class Tests(unittest.TestCase):
    def test_events_become_rows(self) -> None:
        host = testing.host()
        testing.run(handle, testing.event(event_type="push", json={"a": 1}))
        table, row = host.rows[0]
        self.assertEqual((table, row["type"]), ("events", "push"))
