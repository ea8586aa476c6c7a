//! Rules for HTTP message signatures.

use super::{MESSAGE, URL, assert_refused, build};

#[test]
fn impossible_message_components_are_refused() {
    let components =
        |names: &str| format!("{MESSAGE}{URL}message_signature = {{ components = [{names}] }}");
    let many: Vec<String> = (0..65).map(|number| format!("\"x-{number}\"")).collect();

    assert_refused(&[
        (
            components("\"@status\""),
            "message_signature",
            "not part of a request",
        ),
        (
            components("\"@signature-params\""),
            "message_signature",
            "not part of a request",
        ),
        (
            components("\"@metod\""),
            "message_signature",
            "one of @method",
        ),
        (
            components("\"signature\""),
            "message_signature",
            "holds the signature itself",
        ),
        (
            components("\"signature-input\""),
            "message_signature",
            "holds the signature itself",
        ),
        (components("\"Date\""), "message_signature", "lower case"),
        (
            components("\"a b\""),
            "message_signature",
            "not a header name",
        ),
        (
            components("\"(request-target)\""),
            "message_signature",
            "not a header name",
        ),
        (components("\"\""), "message_signature", "not a header name"),
        (
            components(&many.join(", ")),
            "message_signature",
            "more than 64",
        ),
        (components(""), "message_signature", "components is empty"),
    ]);

    build(&components("\"@method\", \"@path\", \"date\"")).unwrap();
}

#[test]
fn unwritable_labels_are_refused() {
    let rules = |rules: &str| format!("{MESSAGE}{URL}message_signature = {{ {rules} }}");
    assert_refused(&[
        (
            rules("label = \"Sig1\""),
            "message_signature",
            "label `Sig1`",
        ),
        (rules("label = \"1\""), "message_signature", "label `1`"),
        (rules("label = \"\""), "message_signature", "label ``"),
        (rules("label = \"a b\""), "message_signature", "label `a b`"),
        (rules("tag = \"\""), "message_signature", "in tag"),
        (rules("tag = \"é\""), "message_signature", "in tag"),
        (
            rules("key_ids = [\"a\\nb\"]"),
            "message_signature",
            "in key_ids",
        ),
        (rules("key_ids = [\"\"]"), "message_signature", "in key_ids"),
    ]);

    build(&rules(
        "label = \"*sig-1.a_b\", tag = \"x y\", key_ids = [\"a#b\"]",
    ))
    .unwrap();
}

#[test]
fn message_signatures_need_the_url() {
    let without = |rules: &str| format!("{MESSAGE}{rules}");
    let components =
        |names: &str| without(&format!("message_signature = {{ components = [{names}] }}"));

    assert_refused(&[
        (without(""), "public_url", "public_url is missing"),
        (
            components("\"@authority\""),
            "public_url",
            "public_url is missing",
        ),
        (
            components("\"@target-uri\""),
            "public_url",
            "public_url is missing",
        ),
        (
            components("\"@scheme\""),
            "public_url",
            "public_url is missing",
        ),
        (
            "provider = \"http-message-signatures\"\nsecret = \"env:S\"".into(),
            "public_url",
            "public_url is missing",
        ),
    ]);

    build(&components("\"@method\", \"@path\", \"content-digest\"")).unwrap();
    build(&without("url = \"https://hooks.example.com/in\"")).unwrap();
}
