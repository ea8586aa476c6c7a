import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from handler import handle
from landfall_sdk import testing


class Tests(unittest.TestCase):
    def host(self) -> testing.Host:
        settings = {"event": "push", "url": "https://example.com/run"}
        return testing.host(settings=settings).answer("https://example.com/")

    def test_the_wanted_events_make_a_call(self) -> None:
        host = self.host()
        testing.run(handle, testing.event(event_type="push", json={}))
        self.assertEqual(host.calls[0].url, "https://example.com/run")

    def test_other_events_make_none(self) -> None:
        host = self.host()
        testing.run(handle, testing.event(event_type="ping", json={}))
        self.assertEqual(host.calls, [])
