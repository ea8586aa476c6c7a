use std::time::SystemTime;

use super::*;
use crate::EventId;

fn rules(paths: &[&str]) -> RedactSpec {
    RedactSpec::new(paths.iter().copied(), Unreadable::Refuse).unwrap()
}

fn redacted(paths: &[&str], text: &str) -> String {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let found = rules(paths).body(None, None, &body).unwrap();
    String::from_utf8(found.body.to_vec()).unwrap()
}

#[test]
fn named_values_are_removed() {
    for (path, text, expected) in [
        ("/a", r#"{"a":1}"#, r#"{"a":"[redacted]"}"#),
        (
            "/a",
            r#"{"a":{"b":[1]},"c":2}"#,
            r#"{"a":"[redacted]","c":2}"#,
        ),
        ("/a/1", r#"{"a":[1,2,3]}"#, r#"{"a":[1,"[redacted]",3]}"#),
        ("/a/1", r#"{"a":{"1":2}}"#, r#"{"a":{"1":"[redacted]"}}"#),
        ("/a/01", r#"{"a":[1,2]}"#, r#"{"a":[1,2]}"#),
        (
            "/*/e",
            r#"[{"e":1},{"e":2},3]"#,
            r#"[{"e":"[redacted]"},{"e":"[redacted]"},3]"#,
        ),
        (
            "/*/*",
            "[[1,[2]],[3]]",
            r#"[["[redacted]","[redacted]"],["[redacted]"]]"#,
        ),
        (
            "/**/e",
            r#"{"e":1,"x":[{"e":2}]}"#,
            r#"{"e":"[redacted]","x":[{"e":"[redacted]"}]}"#,
        ),
        (
            "/x/**/e",
            r#"{"e":1,"x":{"e":{"e":3}}}"#,
            r#"{"e":1,"x":{"e":"[redacted]"}}"#,
        ),
        (
            "/a~1b/c~0d",
            r#"{"a/b":{"c~d":1}}"#,
            r#"{"a/b":{"c~d":"[redacted]"}}"#,
        ),
        ("", " [1] ", r#" "[redacted]" "#),
        ("/", r#"{"":1}"#, r#"{"":"[redacted]"}"#),
    ] {
        assert_eq!(redacted(&[path], text), expected, "{path}");
    }
}

#[test]
fn everything_else_stays_as_sent() {
    let text = "\u{feff}{ \"big\" : 123456789012345678901234567890.10e+2 ,\r\n\t\"e\":1,\"u\":\"\\u00e9\\ud83d\" }";
    let expected = text.replace("\"e\":1", "\"e\":\"[redacted]\"");
    assert_eq!(redacted(&["/e"], text), expected);

    let body = Bytes::from_static(b"{\"a\": 1.0}");
    let same = rules(&["/b"]).body(None, None, &body).unwrap();
    assert_eq!((same.body.as_ptr(), same.removed), (body.as_ptr(), 0));
}

#[test]
fn escaped_and_repeated_keys_are_found() {
    let text = r#"{"email":1,"\u0065mail":2,"e\u006D\u0061il":3,"\ud83d\ude00":4}"#;
    let left = redacted(&["/email", "/😀"], text);
    for value in 1..=4 {
        assert!(!left.contains(&format!(":{value}")), "{left}");
    }
}

#[test]
fn texts_with_two_readings_are_refused() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for text in [
        "{\"e\":1}{\"e\":2}",
        "{\"e\":1",
        "{e:1}",
        "{'e':1}",
        "[1,]",
        "{\"a\":1,}",
        "01",
        "+1",
        ".5",
        "1.",
        "NaN",
        "[1] // x",
        "\"\\x\"",
        "\"\n\"",
        "\"\\u12\"",
        "nul",
        "-",
        "{\"a\" 1}",
        "[1 2]",
        "plain",
        &deep,
    ] {
        let body = Bytes::copy_from_slice(text.as_bytes());
        assert_eq!(
            rules(&["/e"]).body(None, None, &body),
            Err(UnreadableBody::NotJson),
            "{text}"
        );
    }
    let body = Bytes::from_static(b"{\"e\":\"\xff\"}");
    assert!(rules(&["/e"]).body(None, None, &body).is_err());
    assert_eq!(redacted(&["/e"], ""), "");
}

#[test]
fn the_grammar_is_that_of_serde_json() {
    for text in [
        "{}",
        "[]",
        " [ ] ",
        "{ }",
        "0",
        "-0",
        "-1.5E-3",
        "1e9",
        "\"\"",
        "true",
        "false",
        "null",
        "[true,{\"a\":[null]}]",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
        "tru",
        "[",
        "]",
        "",
        "{\"a\":}",
        "00",
        "1e",
        "--1",
        "\"",
        "[,1]",
        "{,}",
        "\u{a0}1",
    ] {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let ours = text.is_empty() || rules(&["/e"]).body(None, None, &body).is_ok();
        let theirs = text.is_empty() || serde_json::from_str::<serde_json::Value>(text).is_ok();
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn fields_of_forms_are_removed() {
    let form = HeaderValue::from_static("Application/X-WWW-Form-urlencoded; charset=utf-8");
    let rules = rules(&["/user"]).with_fields(vec!["e mail".into()], Vec::new());
    let body = Bytes::from_static(b"a=1&e+mail=x%40y&e%20mail&payload=%7B%22user%22%3A7%7D&b");
    let found = rules.body(Some(&form), Some("payload"), &body).unwrap();
    let left = std::str::from_utf8(&found.body).unwrap();
    assert_eq!(found.removed, 3);
    assert!(
        left.starts_with("a=1&e+mail=%5Bredacted%5D&e%20mail=%5Bredacted%5D&payload=%7B%22user")
    );
    assert!(!left.contains('7') || !left.contains("%3A7"), "{left}");

    let broken = Bytes::from_static(b"payload=%7B");
    assert!(rules.body(Some(&form), Some("payload"), &broken).is_err());
    assert!(rules.body(None, None, &body).is_err());
}

#[test]
fn forms_that_are_json_too_lose_fields() {
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let rules = rules(&["/user"]).with_fields(vec!["ssn".into()], Vec::new());
    let body = Bytes::from_static(b"\"a=1&ssn=123&payload=%7B%22user%22%3A7%7D&b\"");
    let found = rules.body(Some(&form), Some("payload"), &body).unwrap();
    let left = std::str::from_utf8(&found.body).unwrap();
    assert_eq!(found.removed, 2);
    assert!(!left.contains("123") && !left.contains("%3A7"), "{left}");
}

#[test]
fn rules_for_json_do_not_pass_forms() {
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let body = Bytes::from_static(b"user=7");
    assert_eq!(
        rules(&["/user"]).body(Some(&form), None, &body),
        Err(UnreadableBody::NotJson)
    );
    let json = Bytes::from_static(b"{\"user\":7}");
    assert_eq!(
        rules(&["/user"])
            .body(Some(&form), None, &json)
            .unwrap()
            .removed,
        1
    );
}

fn event(body: &'static [u8]) -> Event {
    let mut headers = HeaderMap::new();
    headers.insert("content-length", HeaderValue::from(body.len()));
    headers.insert("content-digest", HeaderValue::from_static("sha-256=:x:"));
    headers.append("x-user", HeaderValue::from_static("ann"));
    headers.append("x-user", HeaderValue::from_static("bob"));
    Event {
        id: EventId::new(SystemTime::UNIX_EPOCH),
        hook: "a".into(),
        received_at: SystemTime::UNIX_EPOCH,
        method: http::Method::POST,
        path: "/a".into(),
        query: Some("user=ann&x=1".into()),
        headers,
        body: Bytes::from_static(body),
        attributes: Vec::new(),
    }
}

#[test]
fn events_say_how_much_was_removed() {
    let rules = rules(&["/user"])
        .with_fields(Vec::new(), vec!["user".into()])
        .with_headers(vec![HeaderName::from_static("x-user")]);
    let left = rules.event(event(b"{\"user\":\"ann\"}")).unwrap();
    assert_eq!(left.attribute(REDACTED_ATTRIBUTE), Some("4"));
    assert_eq!(left.query.as_deref(), Some("user=%5Bredacted%5D&x=1"));
    assert_eq!(left.headers["content-length"], left.body.len().to_string());
    assert!(!left.headers.contains_key("content-digest"));
    assert!(!format!("{left:?}").contains("ann"));

    let untouched = rules
        .event(Event {
            query: None,
            headers: HeaderMap::new(),
            ..event(b"[]")
        })
        .unwrap();
    assert_eq!(untouched.attribute(REDACTED_ATTRIBUTE), None);
}

#[test]
fn unreadable_events_lose_their_body() {
    assert!(rules(&["/user"]).event(event(b"ann")).is_err());
    let left = rules(&["/user"]).event_or_head(event(b"ann"));
    assert!(left.body.is_empty());
    assert_eq!(left.attribute(REDACTED_ATTRIBUTE), Some(UNREADABLE_BODY));
    let remove = RedactSpec::new(["/user"], Unreadable::Remove).unwrap();
    assert!(remove.event(event(b"ann")).unwrap().body.is_empty());
}

#[test]
fn covered_places_are_known() {
    let rules = rules(&["/user/email", "/items/*/id", "/**/card"])
        .with_headers(vec![HeaderName::from_static("x-user")]);
    for (pointer, expected) in [
        ("/user/email", true),
        ("/user", false),
        ("/user/email/x", true),
        ("/user/name", false),
        ("/items/0/id", true),
        ("/a/b/card", true),
    ] {
        assert_eq!(
            rules.covers(&ValueLocation::Json(pointer.into())),
            expected,
            "{pointer}"
        );
    }
    assert!(rules.covers(&ValueLocation::Header("X-User".into())));
    assert!(!rules.covers(&ValueLocation::Header("X-Id".into())));
}

#[test]
fn wrong_paths_are_refused() {
    for (path, why) in [
        ("a", "begins with a slash"),
        ("/a~2", "~0"),
        ("/a/**", "ends with **"),
        (&*"/a".repeat(40), "too long"),
    ] {
        let error = RedactSpec::new([path], Unreadable::Refuse).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
