//! Lists whose entries can be read in two ways.

use super::{HMAC, assert_refused, build};

fn listed(encoding: &str, list: &str) -> String {
    format!("{HMAC}prefix = \"\"\nencoding = \"{encoding}\"\nlist = {{ {list} }}\n")
}

#[test]
fn separators_inside_values_are_refused() {
    let time = |unit: &str, list: &str| {
        format!(
            "{}timestamp = {{ unit = \"{unit}\", past = \"5m\" }}",
            listed("hex", list)
        )
    };

    let cut = "would be cut there";
    assert_refused(&[
        (
            listed(
                "base64",
                "separator = \"=\", assign = \":\", labels = [\"v1\"]",
            ),
            "list",
            cut,
        ),
        (listed("base64", "separator = \"+\""), "list", cut),
        (listed("base64url", "separator = \"-\""), "list", cut),
        (
            listed(
                "hex",
                "separator = \"a\", assign = \"=\", labels = [\"v1\"]",
            ),
            "list",
            cut,
        ),
        (listed("hex", "separator = \"0B\""), "list", cut),
        (
            listed(
                "hex",
                "separator = \"=\", assign = \"=\", labels = [\"v1\"]",
            ),
            "list",
            "is in assign",
        ),
        (
            listed(
                "hex",
                "separator = \",\", assign = \",=\", labels = [\"v1\"]",
            ),
            "list",
            "is in assign",
        ),
        (
            listed("hex", "separator = \"\\n\""),
            "list",
            "is in no header value",
        ),
        (
            time(
                "rfc3339",
                "separator = \":\", assign = \"=\", labels = [\"v1\"], timestamp = \"t\"",
            ),
            "list",
            "part of the time",
        ),
        (
            time("iso8601", "separator = \"-\", timestamp_first = true"),
            "list",
            "part of the time",
        ),
        (
            time(
                "http-date",
                "separator = \", \", assign = \"=\", labels = [\"v1\"], timestamp = \"t\"",
            ),
            "list",
            "part of the time",
        ),
    ]);

    build(&listed(
        "base64",
        "separator = \", \", assign = \"=\", labels = [\"v1\"]",
    ))
    .unwrap();

    build(&time(
        "s",
        "separator = \":\", assign = \"=\", labels = [\"v1\"], timestamp = \"t\"",
    ))
    .unwrap();
}

#[test]
fn list_entries_have_one_meaning() {
    let time = "timestamp = { unit = \"s\", past = \"5m\" }\n";
    let t_and_v1 = "separator = \",\", assign = \"=\", labels = [\"v1\"], timestamp = \"t\"";
    let signed = |label: &str| {
        let payload = format!("payload = [\"{{list:{label}}}\", \".\", \"{{body}}\"]");
        format!("{}{time}{payload}", listed("hex", t_and_v1))
    };

    let both = "separator = \",\", assign = \"=\", labels = [\"t\"], timestamp = \"t\"";
    let unlabelled = "separator = \",\", assign = \"a\", timestamp = \"b\"";
    assert_refused(&[
        (listed("hex", both) + time, "list", "remove it from labels"),
        (
            listed("hex", unlabelled) + time,
            "list",
            "may begin with `ba`",
        ),
        (signed("t"), "payload", "write {timestamp}"),
        (signed("v1"), "payload", "the signature itself"),
        (
            listed("hex", t_and_v1).replace("prefix = \"\"", "prefix = \"v1=\"") + time,
            "prefix",
            "means nothing beside list",
        ),
    ]);

    build(&signed("nonce")).unwrap();
}
