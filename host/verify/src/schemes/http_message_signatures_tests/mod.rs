//! Message signatures: the examples of RFC 9421 and the rules of hooks.

mod examples;
mod headers;
mod rules;

use std::time::Duration;

use super::*;
use crate::check::{Verdict, check};
use crate::keys::{Keys, NoKeyDocuments};
use crate::pack::Packs;
use crate::sign::sign;
use crate::verifier::Verifier;
use landfall_model::{Secret, VerifySpec};

const CREATED: u64 = 1_618_884_473;

const BODY: &str = r#"{"hello": "world"}"#;

const HMAC: &str = "algorithm = \"hmac-sha256\"\n";

/// The key pair of RFC 9421, appendix B.1.4.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const URL: &str = "public_url = \"https://example.com\"\n";

fn request(headers: &[(&'static str, &str)]) -> Unverified {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }

    Unverified {
        method: http::Method::POST,
        path: "/foo".into(),
        query: Some("param=Value&Pet=dog".into()),
        params: Vec::new(),
        headers: map,
        body: BODY.into(),
        decoded: None,
    }
}

fn verifier(rules: &str, secrets: usize) -> Verifier {
    let secrets = vec!["\"env:S\""; secrets].join(", ");
    let public_url = if rules.contains("public_url") || rules.contains("components") {
        ""
    } else {
        "public_url = \"https://example.com\"\n"
    };

    let spec =
        format!("scheme = \"http-message-signatures\"\nsecret = [{secrets}]\n{public_url}{rules}");
    Verifier::build(
        &toml::from_str::<VerifySpec>(&spec).unwrap(),
        &Packs::default(),
    )
    .unwrap()
}

fn verdict(rules: &str, secrets: &[&str], request: Unverified, now: u64) -> Result<(), Reason> {
    let verifier = verifier(rules, secrets.len());
    let keys = Keys::new(
        secrets
            .iter()
            .map(|secret| (verifier.key_form(), Ok(Secret::new(*secret)))),
    );

    let now = Some(UNIX_EPOCH + Duration::from_secs(now));
    match check(
        &verifier,
        request,
        &VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now,
        },
        None,
    ) {
        Ok(Verdict::Verified(_)) => Ok(()),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal.reason),
    }
}

fn set(request: &mut Unverified, name: &'static str, value: &str) {
    request.headers.insert(name, value.parse().unwrap());
}

/// Signs with `rules` at the time of the examples.
fn signed(rules: &str, key: &[u8], change: impl Fn(&mut Unverified)) -> Unverified {
    let mut draft = request(&[
        ("host", "example.com"),
        ("content-type", "application/json"),
    ]);

    change(&mut draft);
    sign(
        &verifier(rules, 1),
        draft,
        key,
        UNIX_EPOCH + Duration::from_secs(CREATED),
    )
    .unwrap()
}
