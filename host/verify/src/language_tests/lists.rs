//! Signatures in a list with other values.

use super::{HMAC, build, hex_mac, request, word};
use landfall_model::Algorithm;

#[test]
fn a_list_may_have_no_labels() {
    let list = |style: &str| {
        build(&format!(
            "{HMAC}list = {{ separator = \",\", {style} }}\npayload = [\"{{timestamp}}\", \".\", \"{{body}}\"]\ntimestamp = {{ unit = \"s\", past = \"5m\" }}"
        ))
    };

    let right = hex_mac(Algorithm::HmacSha256, "1760000000.{}");
    let other = "0".repeat(64);
    let first = list("timestamp_first = true").unwrap();

    for (text, expected) in [
        (format!("1760000000,{right}"), "accept"),
        (format!("1760000000, {other}, {right}"), "accept"),
        (format!("1760000000,{other}"), "signature_mismatch"),
        ("1760000000".to_owned(), "malformed_signature"),
        (format!("soon,{right}"), "malformed_timestamp"),
        (format!("1759990000,{right}"), "timestamp_too_old"),
    ] {
        assert_eq!(
            word(&first, request(&[("sig", &text)], None, "{}")),
            expected,
            "{text}"
        );
    }

    let labelled = list("assign = \"=\", timestamp = \"t\"").unwrap();
    for (text, expected) in [
        (format!("t=1760000000,{right}"), "accept"),
        (format!("{right},t=1760000000"), "accept"),
        (right.clone(), "missing_timestamp"),
        (
            format!("t=1760000000,t=1760000000,{right}"),
            "malformed_signature",
        ),
        ("t=1760000000".to_owned(), "malformed_signature"),
    ] {
        assert_eq!(
            word(&labelled, request(&[("sig", &text)], None, "{}")),
            expected,
            "{text}"
        );
    }
}

#[test]
fn labels_of_the_list_are_signed() {
    let list = "list = { separator = \",\", assign = \"=\", labels = [\"sign\"] }";
    let verifier = build(&format!(
        "{HMAC}{list}\npayload = [\"{{list:env}}\", \";\", \"{{body}}\"]"
    ))
    .unwrap();

    let signature = hex_mac(Algorithm::HmacSha256, "master;a;b");
    for (text, body, expected) in [
        (format!("sign={signature}, env=master"), "a;b", "accept"),
        (
            format!("sign={signature}, env=dev"),
            "a;b",
            "signature_mismatch",
        ),
        (
            format!("sign={signature}, env=master;a"),
            "b",
            "signature_mismatch",
        ),
        (format!("sign={signature}"), "a;b", "malformed_signature"),
        (
            format!("sign={signature}, env=master, env=master"),
            "a;b",
            "malformed_signature",
        ),
    ] {
        assert_eq!(
            word(&verifier, request(&[("sig", &text)], None, body)),
            expected,
            "{text}"
        );
    }
}
