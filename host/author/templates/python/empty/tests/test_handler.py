import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from handler import handle
from landfall_sdk import testing


class Tests(unittest.TestCase):
    def test_events_are_answered(self) -> None:
        host = testing.host()
        end = testing.run(handle, testing.event(event_type="push", json={}))
        assert end.reply is not None
        self.assertEqual(end.reply.json(), {"received": "push"})
        self.assertEqual(host.logs, ["info: received push"])
