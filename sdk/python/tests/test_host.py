"""The capabilities and the outcomes, over the fake host."""

import json
import logging
import sys
import unittest

from landfall_sdk import CapabilityError, Defer, Headers, HttpError, Reject, Reply, Retry, emit, http, kv, log, settings, table
from landfall_sdk.testing import event, host, run


def raising(error):
    def function(_):
        raise error

    return function


class Capabilities(unittest.TestCase):
    def test_settings_are_read(self):
        host(settings={"branch": "main", "limit": 3})
        self.assertEqual((settings.get("branch"), settings.get("limit"), settings.get("no")), ("main", "3", None))
        self.assertEqual(settings.all(), {"branch": "main", "limit": 3})

    def test_values_are_stored(self):
        fake = host(kv={"seen": "yes"})
        self.assertEqual((kv.get("seen"), kv.get("no")), ("yes", None))
        kv.set("bytes", b"\xff")
        self.assertEqual(kv.get_bytes("bytes"), b"\xff")
        with self.assertRaisesRegex(TypeError, "kv.get_bytes"):
            kv.get("bytes")
        kv.set_json("doc", {"a": 1}, expires_in_seconds=60)
        self.assertEqual(kv.get_json("doc"), {"a": 1})
        self.assertEqual((kv.increment("n"), kv.increment("n", 4)), (1, 5))
        kv.set("five", b"5")
        self.assertEqual((kv.get("five"), kv.increment("five")), ("5", 6))
        self.assertTrue(kv.compare_and_set("five", b"6", b"7"))
        kv.delete("five")
        self.assertTrue(kv.compare_and_set("lock", None, "a"))
        self.assertFalse(kv.compare_and_set("lock", "b", "c"))
        kv.delete("seen")
        self.assertEqual(kv.list_keys(limit=2), ["bytes", "doc"])
        self.assertEqual(fake.kv["lock"], "a")
        with self.assertRaises(TypeError):
            kv.set("a", 5)
        with self.assertRaisesRegex(TypeError, "number of seconds"):
            kv.set("a", "b", expires_in_seconds="60")

    def test_rows_and_events_are_staged(self):
        fake = host()
        table.append("pushes", {"ref": "main"})
        emit("notify", json={"text": "x"}, event_type="paid", key="k", delay_seconds=1.2)
        self.assertEqual(fake.rows, [("pushes", {"ref": "main"})])
        emitted = fake.emitted[0]
        self.assertEqual((emitted.hook, emitted.event_type, emitted.json, emitted.key), ("notify", "paid", {"text": "x"}, "k"))
        self.assertEqual((emitted.delay_seconds, emitted.headers), (2, {"content-type": "application/json"}))
        with self.assertRaisesRegex(TypeError, "a row cannot be JSON"):
            table.append("pushes", {"at": object()})

    def test_calls_are_answered_in_turn(self):
        fake = host().answer("https://a.example/", status=503, times=1).answer("https://a.example/", json={"ok": True})
        fake.answer("https://b.example/", error="timeout")
        self.assertEqual(http.get("https://a.example/x").status, 503)
        self.assertEqual(http.post("https://a.example/x", json={"a": 1}, timeout_seconds=1.5).json(), {"ok": True})
        self.assertEqual((fake.calls[1].method, fake.calls[1].json, fake.calls[1].timeout_ms), ("POST", {"a": 1}, 1500))
        self.assertEqual(fake.calls[1].headers, {"content-type": "application/json"})
        with self.assertRaises(HttpError) as raised:
            http.get("https://b.example/")
        self.assertEqual((raised.exception.kind, raised.exception.nothing_was_sent), ("timeout", False))
        with self.assertRaises(HttpError) as raised:
            http.get("https://c.example/")
        self.assertEqual((raised.exception.kind, raised.exception.nothing_was_sent), ("denied", True))
        results = http.send_all([http.Request("GET", "https://a.example/"), http.Request("PUT", "https://b.example/")])
        self.assertEqual([getattr(result, "status", None) or result.kind for result in results], [200, "timeout"])

    def test_forms_are_sent(self):
        fake = host().answer("https://a.example/")
        http.post("https://a.example/", form={"a": "x y"})
        self.assertEqual(fake.calls[0].body, "a=x+y")
        with self.assertRaisesRegex(TypeError, "use json= or form= for others"):
            http.post("https://a.example/", body={"a": 1})

    def test_statuses_become_failures(self):
        host().answer("https://busy.example/", status=429, headers={"Retry-After": "7"}).answer("https://gone.example/", status=404)
        with self.assertRaises(Retry) as raised:
            http.get("https://busy.example/").raise_for_status()
        self.assertEqual(raised.exception.after_seconds, 7)
        with self.assertRaises(Reject):
            http.get("https://gone.example/").raise_for_status()

    def test_reasons_have_the_answer(self):
        sentence = "the call was answered with status 422"
        for body, expected in [
            ('{"error": "no\nname"}\n', f'{sentence}: {{"error": "no\\nname"}}'),
            ("a\x1b[31m\0\x7fb", f"{sentence}: a\\u{{1b}}[31m\\u{{0}}\\u{{7f}}b"),
            ("", sentence),
            (" \r\n", sentence),
            (b"\xffa", sentence),
            ("\U0001f600" * 200, f"{sentence}: " + "\U0001f600" * 200),
            ("\U0001f600" * 9000, f"{sentence}: " + "\U0001f600" * 200 + "…"),
        ]:
            with self.subTest(body), self.assertRaises(Reject) as raised:
                http.Response(422, Headers([("x-id", "not-in-the-reason")]), body).raise_for_status()
            self.assertEqual(str(raised.exception), expected)

    def test_values_have_the_types_of_the_contract(self):
        host()
        wrong = [
            lambda: settings.get(None),
            lambda: kv.get(None),
            lambda: kv.set(1, "a"),
            lambda: kv.increment("a", 1.5),
            lambda: kv.increment("a", 2**31),
            lambda: kv.list_keys(limit=-1),
            lambda: table.append(None, {}),
            lambda: emit(None),
            lambda: emit("a", key=5),
            lambda: http.get(None),
            lambda: http.get("https://a.example/", timeout_seconds=0),
        ]
        for at, call in enumerate(wrong):
            with self.subTest(at), self.assertRaises(TypeError):
                call()

    def test_half_surrogate_pairs_are_replaced(self):
        def strange(_):
            print("\ud800 a")
            kv.set("\ud800", "\udc00")
            table.append("rows", {"a": "\ud800"})
            return Reply(200, {"a": "\ud800"})

        fake = host()
        end = run(strange, event())
        self.assertEqual(end.reply.json(), {"a": "\ufffd"})
        self.assertEqual((fake.logs, fake.kv), (["info: \ufffd a"], {"\ufffd": "\ufffd"}))
        self.assertEqual(run(raising(Reject("\ud800")), event()).reason, "\ufffd")
        self.assertIn("\ufffd", run(raising(ValueError("\ud800")), event()).reason)


class Outcomes(unittest.TestCase):
    def test_replies_have_content_types(self):
        cases = [
            (None, None),
            ("hi", (200, "text/plain; charset=utf-8", "hi")),
            ({"a": "é"}, (200, "application/json", '{"a":"é"}')),
            (Reply(409, {"a": 1}), (409, "application/json", '{"a":1}')),
            (Reply(200, b"x"), (200, None, "x")),
            (Reply(204), (204, None, "")),
            (Reply(204, None), (204, None, "")),
            (Reply(200, [1], {"Content-Type": "text/x"}), (200, "text/x", "[1]")),
        ]
        for returned, expected in cases:
            end = run(lambda _, returned=returned: returned, event())
            self.assertEqual(end.outcome, "done")
            reply = end.reply and (end.reply.status, end.reply.headers.get("content-type"), end.reply.text)
            self.assertEqual(reply, expected)

    def test_failures_are_outcomes(self):
        end = run(raising(Reject("no", reply=Reply(409, {"a": 1}))), event())
        self.assertEqual((end.outcome, end.reason, end.reply.status), ("reject", "no", 409))
        end = run(raising(Retry("later", after_seconds=0.5)), event())
        self.assertEqual((end.outcome, end.reason, end.after_seconds), ("retry", "later", 1))
        end = run(raising(Defer("not yet")), event())
        self.assertEqual((end.outcome, end.after_seconds), ("defer", None))
        with self.assertRaises(TypeError):
            Retry("x", after_seconds=-1)

    def test_other_exceptions_name_their_lines(self):
        def fails(_):
            try:
                return {}["missing"]
            except KeyError as error:
                raise CapabilityError("limit", "too much") from error

        end = run(fails, event())
        self.assertEqual(end.outcome, "retry")
        self.assertRegex(end.reason, r"^CapabilityError \(limit\): too much \(.*test_host\.py:\d+\)\n")
        self.assertRegex(end.reason, r"test_host\.py:\d+ in fails: raise CapabilityError")
        self.assertRegex(end.reason, r"\ncaused by KeyError: 'missing' \(.*test_host\.py:\d+\)")
        standard = run(lambda _: json.loads("{"), event())
        self.assertRegex(standard.reason, r"^JSONDecodeError: .* \(.*test_host\.py:\d+\)\n")

    def test_odd_exceptions_are_outcomes(self):
        class Busy(Retry):
            def __init__(self):
                pass

        class Stop(BaseException):
            pass

        def ends(error):
            def fails(_):
                raise error

            end = run(fails, event())
            return end.outcome, end.reason.partition("\n")[0]

        self.assertEqual(ends(Busy()), ("retry", "Busy"))
        outcome, reason = ends(Stop("now"))
        self.assertEqual((outcome, reason.partition(" (")[0]), ("retry", "Stop: now"))

    def test_groups_name_their_members(self):
        def fails(_):
            raise ExceptionGroup("both", [ValueError("a"), ExceptionGroup("deep", [KeyError("b")])])

        reason = run(fails, event()).reason
        self.assertRegex(reason, r"^ExceptionGroup: both \(2 sub-exceptions\) \(.*test_host\.py:\d+\)\n")
        for line in ["\n1 of 2: ValueError: a\n", "\n2 of 2: ExceptionGroup: deep", "\n1 of 1: KeyError: 'b'"]:
            self.assertIn(line, reason)

    def test_nothing_that_is_raised_passes(self):
        class Own(BaseException):
            pass

        class Silent(Retry):
            def __init__(self, code):
                self.code = code

        class Wrong(Reject):
            reason = property(lambda self: 1 / 0, lambda self, value: None)

        late = Defer("not yet")
        late.after_seconds = "soon"
        for error, expected in [
            (Own("x"), ("retry", "Own: x")),
            (GeneratorExit(), ("retry", "GeneratorExit")),
            (SystemExit(3), ("retry", "SystemExit: 3")),
            (Silent(7), ("retry", "7")),
            (Silent(""), ("retry", "Silent")),
            (Wrong("x"), ("reject", "Wrong")),
            (late, ("defer", "not yet; its time is not valid: after_seconds is a number of seconds, not 'soon'")),
        ]:
            end = run(raising(error), event())
            self.assertEqual((end.outcome, end.reason.partition(" (")[0]), expected)
        with self.assertRaises(KeyboardInterrupt):
            run(raising(KeyboardInterrupt()), event())

    def test_wrong_results_are_named(self):
        end = run(lambda _: 5, event())
        self.assertEqual(end.outcome, "retry")
        self.assertIn("the handler returned int: return None, text, a dict, or a Reply", end.reason)
        with self.assertRaises(ValueError):
            Reply(99)
        changed = Reply()
        changed.status = "200"
        self.assertIn("from 200 to 599, not '200'", run(lambda _: changed, event()).reason)
        self.assertEqual(run(lambda _: Reply(204, None), event()).reply.text, "")

    def test_lines_have_levels(self):
        def writes(_):
            print("printed", {"a": 1})
            print("no end of line", end="")
            print("an error", file=sys.stderr)
            logging.info("one of %d", 3)
            logging.getLogger("mine").warning("careful")
            logging.debug("hidden")
            try:
                raise ValueError("bad")
            except ValueError:
                logging.exception("failed")
            log.trace("%s %%", 5)

        fake = host()
        run(writes, event())
        lines = [line.partition("\n")[0] for line in fake.logs]
        self.assertEqual(
            lines,
            [
                "info: printed {'a': 1}",
                "warn: an error",
                "info: one of 3",
                "warn: careful",
                "error: failed",
                "trace: 5 %",
                "info: no end of line",
            ],
        )
        self.assertIn("ValueError: bad", fake.logs[4])


if __name__ == "__main__":
    unittest.main()
