"""The event as the author sees it."""

import json
import unittest
from pathlib import Path

from landfall_sdk import Headers, Reject, Values
from landfall_sdk._form import form_fields
from landfall_sdk.testing import event


class Events(unittest.TestCase):
    def test_fields_have_their_types(self):
        made = event(
            provider="github",
            query="a=1&b=x%20y&a=2",
            headers={"X-GitHub-Event": "push"},
            params={"shop": "acme"},
        )
        self.assertEqual(made.received_at.isoformat(), "2026-01-31T08:15:30.123000+00:00")
        self.assertEqual((made.query["b"], made.query.get("a"), made.query.get_all("a")), ("x y", "1", ["1", "2"]))
        self.assertEqual(made.headers["x-github-EVENT"], "push")
        self.assertEqual(made.params, {"shop": "acme"})
        self.assertIsNone(made.event_type)

    def test_bodies_are_text_or_bytes(self):
        self.assertEqual(event(body="é").content, b"\xc3\xa9")
        self.assertEqual(event(body=b"\xff").content, b"\xff")
        with self.assertRaises(Reject):
            event(body=b"\xff").text

    def test_a_body_without_json_is_rejected(self):
        self.assertEqual(event(json={"a": [1]}).json(), {"a": [1]})
        with self.assertRaisesRegex(Reject, "the body is not JSON: "):
            event(body="{").json()

    def test_json_in_a_form_is_read(self):
        made = event(
            body="payload=%7B%22ref%22%3A%22main%22%7D&x=1",
            headers={"content-type": "application/x-www-form-urlencoded"},
            attributes={"json-form-field": "payload"},
        )
        self.assertEqual(made.json(), {"ref": "main"})
        self.assertEqual(made.form()["x"], "1")
        self.assertIsNone(event(body="a=1").form())

    def test_values_are_a_mapping(self):
        values = Values([("a", "1"), ("b", "2"), ("a", "3")])
        self.assertEqual((dict(values), list(values), len(values), "c" in values), ({"a": "1", "b": "2"}, ["a", "b"], 2, False))
        self.assertIn("A", Headers([("a", "1")]))

    def test_forms_are_read_as_in_rust(self):
        cases = json.loads((Path(__file__).resolve().parents[2] / "tests/multipart.json").read_text())
        for case in cases:
            fields = form_fields(case["content_type"], case["body"].encode())
            expected = case["fields"]
            if expected is not None:
                expected = [tuple(field) for field in expected]
            self.assertEqual(fields, expected, case["case"])


if __name__ == "__main__":
    unittest.main()
