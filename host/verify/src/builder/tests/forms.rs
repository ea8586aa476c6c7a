//! Requests that no sender without the secret can make.

use super::{HMAC, build};
use crate::check::check;
use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
use crate::request::Unverified;
use crate::verifier::Verifier;
use landfall_model::Secret;

fn request(headers: &[(&str, &str)], body: &str) -> Unverified {
    let named = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));

    Unverified {
        method: http::Method::POST,
        path: "/hook".into(),
        query: None,
        params: Vec::new(),
        headers: named
            .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
            .into_iter()
            .collect(),
        body: body.to_owned().into(),
        decoded: None,
    }
}

fn is_accepted(verifier: &Verifier, request: Unverified, secrets: &[&str]) -> bool {
    let keys = Keys::new(
        secrets
            .iter()
            .map(|secret| (verifier.key_form(), Ok(Secret::new(*secret)))),
    );

    check(
        verifier,
        request,
        &VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now: None,
        },
        None,
    )
    .is_ok()
}

#[test]
fn sorted_forms_need_their_content_type() {
    let verifier = build(&format!("{HMAC}payload = [\"{{form_sorted}}\"]")).unwrap();
    // HMAC-SHA256 of `a1b2` with the key `s`.
    let signature = hex::encode(crate::algorithm::mac(
        landfall_model::Algorithm::HmacSha256,
        b"s",
        b"a1b2",
    ));

    let signed = |content_type: &str| {
        request(
            &[("sig", &signature), ("content-type", content_type)],
            "b=2&a=1",
        )
    };

    assert!(is_accepted(
        &verifier,
        signed("application/x-www-form-urlencoded; charset=utf-8"),
        &["s"]
    ));

    assert!(!is_accepted(&verifier, signed("application/json"), &["s"]));
    assert!(!is_accepted(
        &verifier,
        request(&[("sig", &signature)], "b=2&a=1"),
        &["s"]
    ));
}

#[test]
fn empty_passwords_match_nothing() {
    let verifier = build("scheme = \"basic\"\nsecret = \"env:S\"").unwrap();
    let basic = |pair: &str| {
        use base64::Engine as _;

        let value = format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        );

        request(&[("authorization", &value)], "{}")
    };

    for guessed in [":", "user:"] {
        assert!(
            !is_accepted(&verifier, basic(guessed), &["user:password", guessed]),
            "{guessed}"
        );
    }

    assert!(is_accepted(
        &verifier,
        basic("user:password"),
        &["user:password", "user:"]
    ));
}
