//! Payloads in which one part can pass for another.

use super::{HMAC, URL, assert_refused, build};

#[test]
fn parts_that_run_together_are_refused() {
    let payload =
        |parts: &str| format!("{HMAC}{URL}id = {{ header = \"Id\" }}\npayload = [{parts}]");
    let words = "nothing marks where";
    let time = "timestamp = { from = { header = \"T\" }, unit = \"s\" }\n";

    assert_refused(&[
        (payload("\"{header:A}\", \"{body}\""), "payload", words),
        (payload("\"{url}\", \"{body}\""), "payload", "a line end"),
        (
            payload("\"{url}\", \".\", \"{body}\""),
            "payload",
            "a line end",
        ),
        (
            payload("\"{method}\", \"{url_unescaped}\", \"{body}\""),
            "payload",
            "a line end",
        ),
        (payload("\"{body}\", \"{id}\""), "payload", words),
        (payload("\"{id}\", \"{header:A}\""), "payload", words),
        (
            payload("\"{query:a}\", \"{timestamp}\", \"{body}\"") + "\n" + time,
            "payload",
            words,
        ),
        (
            payload("\"{timestamp}\", \"{body}\"") + "\n" + time,
            "payload",
            "which has no `past`",
        ),
        (
            payload("\"{body}\", \".\", \"{form_sorted}\""),
            "payload",
            words,
        ),
        (
            payload("[\"{query:a}\", \";\"], \"{body}\""),
            "payload",
            words,
        ),
        (
            payload("[\"a:\", \"{query:a}\", \";\"], \"a\", \"{body}\""),
            "payload",
            words,
        ),
        (
            payload("\"{body}\", [\"a:\", \"{query:a}\", \";\"]"),
            "payload",
            words,
        ),
        (
            format!(
                "provider = \"hubspot\"\nsecret = \"env:S\"\n{URL}payload = [\"{{url}}\", \"{{body}}\"]"
            ),
            "payload",
            words,
        ),
    ]);

    for clear in [
        "\"{header:A}\", \":\", \"{body}\"",
        "\"{url}\", \"\\n\", \"{body}\"",
        "\"{body}\", \".\", \"{id}\"",
        "\"{method}\", \"{body}\"",
        "\"{method}\", \" \", \"{url}\"",
        "\"{body_sha256_hex}\", \"{header:A}\"",
    ] {
        build(&payload(clear)).unwrap_or_else(|error| panic!("{clear}: {}", error.message));
    }

    build("provider = \"hubspot\"\nsecret = \"env:S\"\npublic_url = \"https://a.example\"")
        .unwrap();
}

#[test]
fn signed_hosts_need_the_url() {
    let keygen = "provider = \"keygen\"\nsecret = \"env:S\"\n";
    assert_refused(&[
        (keygen.into(), "public_url", "public_url is missing"),
        (
            format!("{HMAC}payload = [\"{{header:host}}\", \"\\n\", \"{{body}}\"]"),
            "payload",
            "the sender's choice",
        ),
    ]);

    build(&format!("{keygen}{URL}")).unwrap();
}
