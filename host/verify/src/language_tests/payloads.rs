//! The signed text.

use super::{HMAC, build, hex_mac, request, word};
use crate::algorithm::Running;
use landfall_model::Algorithm;

#[test]
fn optional_parts_drop_out_when_absent() {
    let payload = "payload = [[\"id:\", \"{query:id}\", \";\"], [\"rid:\", \"{header:rid}\", \";\"], \"body:\", \"{body}\"]";
    let verifier = build(&format!("{HMAC}{payload}")).unwrap();
    let ask = |signed: &str, query: Option<&str>, rid: &[&str]| {
        let signature = hex_mac(Algorithm::HmacSha256, signed);
        let headers: Vec<(&str, &str)> = [("sig", signature.as_str())]
            .into_iter()
            .chain(rid.iter().map(|rid| ("rid", *rid)))
            .collect();

        word(&verifier, request(&headers, query, "x"))
    };

    assert_eq!(ask("id:7;rid:r;body:x", Some("id=7"), &["r"]), "accept");
    assert_eq!(ask("rid:r;body:x", None, &["r"]), "accept");
    assert_eq!(ask("id:7;body:x", Some("id=7"), &[]), "accept");
    assert_eq!(ask("body:x", None, &[]), "accept");
    assert_eq!(ask("body:x", Some("id=7"), &[]), "signature_mismatch");

    // One value must not pass for two, nor two for one.
    assert_eq!(
        ask("id:7;rid:r;body:x", Some("id=7%3Brid%3Ar"), &[]),
        "signature_mismatch"
    );

    assert_eq!(
        ask("id:7;body:x", Some("id=7&id=8"), &[]),
        "duplicate_header"
    );

    assert_eq!(ask("rid:r;body:x", None, &["r", "r"]), "duplicate_header");
}

#[test]
fn any_payload_alternative_may_be_signed() {
    let verifier = build(&format!(
        "{HMAC}payload = [\"{{query_lower:id}}\", \":\", \"{{body}}\"]\npayload_alternatives = [[\"{{query:id}}\", \":\", \"{{body}}\"]]"
    ))
    .unwrap();

    for (signed, expected) in [
        ("abc:x", "accept"),
        ("ABC:x", "accept"),
        ("Abc:x", "signature_mismatch"),
    ] {
        let signature = hex_mac(Algorithm::HmacSha256, signed);
        assert_eq!(
            word(
                &verifier,
                request(&[("sig", &signature)], Some("id=ABC"), "x")
            ),
            expected,
            "{signed}"
        );
    }
}

#[test]
fn digests_and_json_of_the_body() {
    for (token, text) in [
        (
            "{body_sha256_hex}",
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        ),
        (
            "{body_sha256_base64}",
            "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=",
        ),
        ("{body_json_string}", "\"{}\""),
    ] {
        let verifier = build(&format!("{HMAC}payload = [\"v:\", \"{token}\"]")).unwrap();
        let signature = hex_mac(Algorithm::HmacSha256, &format!("v:{text}"));
        assert_eq!(
            word(&verifier, request(&[("sig", &signature)], None, "{}")),
            "accept",
            "{token}"
        );
        assert_eq!(
            word(&verifier, request(&[("sig", &signature)], None, "{ }")),
            "signature_mismatch",
            "{token}"
        );
    }

    let verifier = build(&format!("{HMAC}payload = [\"{{body_json_string}}\"]")).unwrap();
    let signature = hex_mac(Algorithm::HmacSha256, r#""{\"a\":\"é\\n\"}\n\u001f""#);
    assert_eq!(
        word(
            &verifier,
            request(&[("sig", &signature)], None, "{\"a\":\"é\\n\"}\n\u{1f}")
        ),
        "accept"
    );

    assert_eq!(
        word(&verifier, request(&[("sig", &signature)], None, vec![0xff])),
        "malformed_body"
    );
}

#[test]
fn digests_hold_the_secret() {
    for (name, algorithm) in [
        ("sha1", Algorithm::Sha1),
        ("sha256", Algorithm::Sha256),
        ("keccak256", Algorithm::Keccak256),
    ] {
        let typed = HMAC.replace("hmac-sha256", name);
        let error = build(&format!("{typed}payload = [\"{{body}}\"]")).unwrap_err();
        assert!(
            error.message.contains("{secret} must be part"),
            "{name}: {}",
            error.message
        );
        let verifier = build(&format!("{typed}payload = [\"{{body}}\", \"{{secret}}\"]")).unwrap();
        let right = digest(algorithm, b"{}k");
        assert_eq!(
            word(&verifier, request(&[("sig", &right)], None, "{}")),
            "accept",
            "{name}"
        );
        let wrong = digest(algorithm, b"{}");
        assert_eq!(
            word(&verifier, request(&[("sig", &wrong)], None, "{}")),
            "signature_mismatch",
            "{name}"
        );
    }

    // The published value for the empty text, so that it is not SHA3-256.
    let empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
    assert_eq!(digest(Algorithm::Keccak256, b""), empty);
    assert_eq!(
        hex_mac(Algorithm::HmacMd5, "what do ya want for nothing?").len(),
        32
    );
}

/// The pack signs the secret first: what continues its digest begins with bytes that are no text.
#[test]
fn a_lengthened_digest_is_refused() {
    let verifier = build("provider = \"hubspot-v1\"\nsecret = \"env:S\"").unwrap();
    for (body, expected) in [
        (&b"a\x80\x00b"[..], "signature_mismatch"),
        (b"{}", "accept"),
    ] {
        let signature = digest(Algorithm::Sha256, &[b"k", body].concat());
        let asked = request(&[("X-HubSpot-Signature", &signature)], None, body.to_vec());
        assert_eq!(word(&verifier, asked), expected, "{body:?}");
    }
}

#[test]
fn signed_values_hold_no_separator() {
    let verifier = build(&format!(
        "{HMAC}payload = [\"{{header:A}}\", \":\", \"{{body}}\", \".\", \"{{query:b}}\"]"
    ))
    .unwrap();

    let signature = hex_mac(Algorithm::HmacSha256, "x:y:z.v.w");
    for (header, body, query, expected) in [
        ("x", "y:z.v", "b=w", "accept"),
        ("x:y", "z.v", "b=w", "signature_mismatch"),
        ("x", "y:z", "b=v.w", "signature_mismatch"),
    ] {
        let asked = request(&[("sig", &signature), ("a", header)], Some(query), body);
        assert_eq!(word(&verifier, asked), expected, "{header} {body} {query}");
    }
}

#[test]
fn times_may_have_no_offset() {
    let time = |unit: &str| {
        build(&format!("{HMAC}payload = [\"v1:\", \"{{timestamp}}\", \":\", \"{{body}}\"]\ntimestamp = {{ from = {{ header = \"T\" }}, unit = \"{unit}\", past = \"5m\" }}")).unwrap()
    };

    for (text, unit, expected) in [
        ("2025-10-09T08:53:20", "iso8601", "accept"),
        ("2025-10-09T08:53:20.123456", "iso8601", "accept"),
        ("2025-10-09T08:53:20Z", "iso8601", "accept"),
        ("2025-10-09T08:40:00", "iso8601", "timestamp_too_old"),
        ("2025-10-09 08:53:20", "iso8601", "malformed_timestamp"),
        ("2025-10-09T08:53", "iso8601", "malformed_timestamp"),
        ("2025-10-09T08:53:20", "rfc3339", "malformed_timestamp"),
    ] {
        let signature = hex_mac(Algorithm::HmacSha256, &format!("v1:{text}:{{}}"));
        let asked = request(&[("sig", &signature), ("t", text)], None, "{}");
        assert_eq!(word(&time(unit), asked), expected, "{text} {unit}");
    }

    let unclear = build(&format!(
        "{HMAC}payload = [\"{{timestamp}}\", \".\", \"{{body}}\"]\ntimestamp = {{ from = {{ header = \"T\" }}, unit = \"iso8601\" }}"
    ));
    assert!(unclear.unwrap_err().message.contains("must be followed"));
}

#[test]
fn unclear_tables_are_refused() {
    for (typed, words) in [
        (
            "payload = [[\"{query:a}\"]]",
            "nothing of the request is signed",
        ),
        ("payload = [[\"a\"], \"{body}\"]", "it needs a {query:NAME}"),
        (
            "payload = [[\"{query:a}\", \"{secret}\"], \"{body}\"]",
            "{secret} cannot be a part here",
        ),
        (
            "payload = [\"{list:env}\", \";\", \"{body}\"]",
            "say in list",
        ),
        (
            "methods = [\"sha256\"]",
            "algorithm and methods exclude each other",
        ),
        (
            "payload_alternatives = [[\"x\"]]",
            "nothing of the request is signed",
        ),
        (
            "key_set = { url = \"http://keys.example\" }\nalgorithm = \"ed25519\"",
            "must begin with `https://`",
        ),
    ] {
        let base = if typed.contains("algorithm") {
            HMAC.replace("algorithm = \"hmac-sha256\"\n", "")
        } else {
            HMAC.into()
        };
        let error = build(&format!("{base}{typed}")).expect_err(typed);
        assert!(error.message.contains(words), "{typed}: {}", error.message);
    }

    let claims = build(&HMAC.replace("{ header = \"Sig\" }", "{ claim = \"/a\" }"));
    assert_eq!(claims.unwrap_err().key, "from");
}

fn digest(algorithm: Algorithm, text: &[u8]) -> String {
    let mut running = Running::new(algorithm, b"").unwrap();
    running.update(text);
    hex::encode(running.finish())
}
