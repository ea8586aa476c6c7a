import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from handler import handle
from landfall_sdk import testing


SETTINGS = {"url": "https://example.com/events"}


class Tests(unittest.TestCase):
    def test_events_are_sent(self) -> None:
        host = testing.host(settings=SETTINGS).answer("https://example.com/", status=202)
        end = testing.run(handle, testing.event(json={"a": 1}))
        self.assertEqual(end.outcome, "done")
        self.assertEqual(host.calls[0].url, "https://example.com/events")

    def test_failed_calls_fail_the_event(self) -> None:
        testing.host(settings=SETTINGS).answer("https://example.com/", status=503)
        end = testing.run(handle, testing.event(json={}))
        self.assertEqual(end.outcome, "retry")
