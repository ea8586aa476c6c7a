//! What is reported, when, and when it ends.

use super::*;
use crate::difference::Closed;
use crate::summary::Summary;

const NOW: i64 = 3 * DAY_MS;
const MINUTE_MS: i64 = 60_000;

#[test]
fn differences_name_place_and_types() {
    let usual = r#"{"id":1,"at":"2026-01-31T08:15:30Z","user":{"name":"a"},"items":[{"price":2}],"tags":[],"x":null}"#;
    for (body, expected) in [
        (usual, &[][..]),
        (
            r#"{"id":1,"at":"2026-01-31T08:15:30Z","user":{},"items":[{"price":2}],"tags":[],"x":null}"#,
            &["/user/name is missing: every event had string"],
        ),
        (
            r#"{"id":"1","at":"soon","user":{"name":null},"items":[{"price":2.5}],"tags":[],"x":null}"#,
            &[
                "/at is string without this format, not string (date-time)",
                "/id is string, not integer",
                "/items/*/price is number, not integer",
                "/user/name is null, not string",
            ],
        ),
        (
            r#"{"id":1,"at":"2026-01-31T08:15:30Z","user":{"name":"a","a/b":{"c":1}},"items":[],"tags":[],"x":null}"#,
            &["/user/a~1b is new: object"],
        ),
        (r#"[1]"#, &["the body is array; expected object"]),
        ("", &["the body is empty; expected JSON"]),
        (
            "<xml/>",
            &["the body is neither JSON nor a form; expected JSON"],
        ),
    ] {
        let mut shape = known(&[usual]);
        let learned = learn_at(&mut shape, body, NOW);
        assert_eq!(sentences(&shape), expected, "{body}");
        assert_eq!(learned == Learned::Changed, !expected.is_empty(), "{body}");
    }
}

#[test]
fn nothing_is_reported_while_learning() {
    let mut shape = Shape::new();
    for number in 0..100 {
        let body = format!("{{\"a{number}\":{number}}}");
        learn_at(&mut shape, &body, number);
    }
    assert!(!shape.is_known(), "100 events in less than a day");
    assert_eq!(sentences(&shape), Vec::<String>::new());

    let mut shape = learned(&["{}"]);
    learn_at(&mut shape, "{}", 9 * DAY_MS);
    assert!(!shape.is_known(), "two events in nine days");
}

/// A place that few events have is still learned, however old the shape is.
#[test]
fn rare_places_are_still_learned() {
    let mut shape = known(&[r#"{"a":1}"#]);
    for body in [r#"{"a":1,"b":{"c":1}}"#, r#"{"a":1,"b":{"c":"x","d":1}}"#] {
        learn_at(&mut shape, body, NOW);
    }
    assert_eq!(sentences(&shape), ["/b is new: object"]);
}

#[test]
fn optional_fields_may_be_missing() {
    let mut shape = known(&[r#"{"a":1,"b":1}"#, r#"{"a":1}"#]);
    learn_at(&mut shape, r#"{"a":1}"#, NOW);
    assert_eq!(sentences(&shape), Vec::<String>::new());
}

#[test]
fn differences_open_once() {
    let mut shape = known(&[r#"{"a":1}"#]);
    for at in 0..5 {
        learn_at(&mut shape, "{}", NOW + at);
    }
    let [only] = shape.differences() else {
        panic!("{:?}", shape.differences());
    };
    assert_eq!(
        (only.events, only.first_ms, only.last_ms),
        (5, NOW, NOW + 4)
    );
    assert_eq!(only.event, "0190f3c1-8a5e-7000-8000-0123456789ab");
}

#[test]
fn differences_end_when_they_are_over() {
    let mut shape = known(&[r#"{"a":1}"#]);
    learn_at(&mut shape, "{}", NOW);
    for _ in 0..19 {
        learn_at(&mut shape, r#"{"a":1}"#, NOW);
    }
    let later = NOW + 5 * MINUTE_MS;
    assert!(
        shape.close_differences(later, &RULES).is_empty(),
        "19 events"
    );
    learn_at(&mut shape, r#"{"a":1}"#, NOW);
    assert!(shape.close_differences(NOW, &RULES).is_empty(), "no time");
    let closed = shape.close_differences(later, &RULES);
    assert_eq!(closed[0].1, Closed::Over);

    learn_at(&mut shape, "{}", later);
    assert_eq!(sentences(&shape), Vec::<String>::new(), "reported once");
}

/// A field with the name `*`, beside values of a map.
#[test]
fn literal_stars_are_reported_once() {
    let (usual, other) = (r#"{"*":1,"123":1}"#, r#"{"*":1,"123":"x"}"#);
    let mut shape = known(&[usual]);
    learn_at(&mut shape, other, NOW);
    assert_eq!(sentences(&shape), ["/* is string, not integer"]);
    for _ in 0..20 {
        learn_at(&mut shape, usual, NOW);
    }
    let later = NOW + 5 * MINUTE_MS;
    assert_eq!(shape.close_differences(later, &RULES).len(), 1);
    learn_at(&mut shape, other, later);
    assert_eq!(sentences(&shape), Vec::<String>::new());
}

#[test]
fn lasting_differences_are_adopted() {
    for body in [
        "{}",
        r#"{"a":"x","n":"2026-01-31"}"#,
        r#"{"a":1,"n":"2026-01-31","b":1}"#,
        r#"{"a":1,"n":"x"}"#,
    ] {
        let mut shape = known(&[r#"{"a":1,"n":"2026-01-31"}"#]);
        learn_at(&mut shape, body, NOW);
        assert!(!shape.differences().is_empty(), "{body}");
        let six_days = NOW + 6 * DAY_MS;
        assert!(shape.close_differences(six_days, &RULES).is_empty());
        let closed = shape.close_differences(NOW + 7 * DAY_MS, &RULES);
        assert!(closed.iter().all(|(_, why)| *why == Closed::Adopted));
        learn_at(&mut shape, body, NOW + 8 * DAY_MS);
        assert_eq!(sentences(&shape), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn accepted_shapes_have_no_differences() {
    let usual = r#"{"a":1,"list":[{"b":1}]}"#;
    for body in [
        "{}",
        "<xml/>",
        "[]",
        r#"{"a":null,"list":[{"b":"x"},{}],"c":{"d":1}}"#,
    ] {
        let mut shape = known(&[usual]);
        learn_at(&mut shape, body, NOW);
        let accepted = shape.accept();
        assert!(!accepted.is_empty(), "{body}");
        learn_at(&mut shape, body, NOW);
        assert_eq!(sentences(&shape), Vec::<String>::new(), "{body}");
        learn_at(&mut shape, r#"{"a":true,"list":[]}"#, NOW);
        assert_eq!(sentences(&shape).len(), 1, "{body}: others are reported");
    }
}

#[test]
fn new_keys_of_maps_are_no_difference() {
    let body = |id: usize| format!("{{\"by_id\":{{\"{id}\":{{\"n\":1}}}}}}");
    let mut shape = Shape::new();
    for id in 0..30 {
        learn_at(&mut shape, &body(id), id as i64 * DAY_MS / 10);
    }
    assert!(shape.is_known());
    learn_at(&mut shape, &body(999), NOW);
    assert_eq!(sentences(&shape), Vec::<String>::new());
    let text = "{\"by_id\":{\"7\":{\"n\":\"x\"}}}";
    learn_at(&mut shape, text, NOW);
    assert_eq!(sentences(&shape), ["/by_id/*/n is string, not integer"]);
}

#[test]
fn unreadable_bodies_are_skipped() {
    let mut shape = known(&[r#"{"a":1}"#]);
    for body in [r#"{"a":1e999}"#, r#"{"a":"\ud800"}"#] {
        let learned = learn_at(&mut shape, body, NOW);
        assert_eq!(learned, Learned::Skipped("unreadable"), "{body}");
    }
    let large = format!("\"{}\"", "a".repeat(crate::BODY_MAX));
    let learned = learn_at(&mut shape, &large, NOW);
    assert_eq!(learned, Learned::Skipped("large"));
    assert_eq!(sentences(&shape), Vec::<String>::new());
}

#[test]
fn shapes_survive_as_text() {
    let mut shape = known(&[r#"{"a":1,"b":[{"c":"2026-01-31"}],"d":{"1":2}}"#]);
    learn_at(&mut shape, r#"{"a":"x"}"#, NOW);
    let text = shape.to_json();
    let again = Shape::parse(&text).unwrap();
    assert_eq!(again.to_json(), text);
    assert_eq!(again.differences(), shape.differences());
    let summary = Summary::parse(&text).unwrap();
    assert_eq!(summary.differences, shape.differences());
    assert_eq!((summary.first_ms, summary.last_ms), shape.time());
    assert_eq!(
        (summary.events, summary.bytes),
        (shape.events(), text.len())
    );
    assert!(summary.is_known());
    assert!(Summary::parse("{}").is_none());
    assert!(Shape::parse("{}").is_none());
    assert!(Shape::parse("[").is_none());
}
