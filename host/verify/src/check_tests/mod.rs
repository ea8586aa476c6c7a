//! Tests of the check. The modules share these helpers.

mod challenges;
mod jwt;
mod limits;
mod loading;
mod secrets;
mod signatures;

use std::time::{Duration, Instant, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::algorithm::same_text;
use crate::keys::NoKeyDocuments;
use crate::pack::Packs;
use landfall_model::{Secret, SecretError, ValueLocation, VerifySpec};

fn verifier(toml: &str) -> Verifier {
    Verifier::build(
        &toml::from_str::<VerifySpec>(toml).unwrap(),
        &Packs::default(),
    )
    .unwrap()
}

/// With these secrets, at the time that request vectors like.
fn check(
    verifier: &Verifier,
    request: Unverified,
    secrets: &[Result<Secret, SecretError>],
) -> Result<Verdict, Refusal> {
    let keys = Keys::new(
        secrets
            .iter()
            .map(|secret| (verifier.key_form(), secret.clone())),
    );

    let now = Some(UNIX_EPOCH + Duration::from_secs(1_760_000_000));
    super::check(
        verifier,
        request,
        &VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now,
        },
        None,
    )
}

fn reason<T: std::fmt::Debug>(checked: Result<T, Refusal>) -> &'static str {
    checked.unwrap_err().reason.word()
}

fn request(headers: &[(&str, &str)], query: Option<&str>, body: &str) -> Unverified {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }

    Unverified {
        method: http::Method::POST,
        path: "/x".into(),
        query: query.map(Into::into),
        params: Vec::new(),
        headers: map,
        body: body.to_owned().into(),
        decoded: None,
    }
}

fn values(texts: &[&str]) -> Vec<Result<Secret, SecretError>> {
    texts.iter().map(|text| Ok(Secret::new(*text))).collect()
}

fn verified(checked: Result<Verdict, Refusal>) -> Verified {
    match checked {
        Ok(Verdict::Verified(verified)) => verified,
        other => panic!("not verified: {other:?}"),
    }
}

const TOKEN: &str = "scheme = \"token\"\nfrom = { header = \"Secret\" }\nsecret = \"env:S\"";

/// As the pack of that name says, with a secret that is known to the test.
fn of(provider: &str, more: &str) -> Verifier {
    verifier(&format!(
        "provider = \"{provider}\"\nsecret = \"env:S\"\npublic_url = \"https://a.example\"\n{more}"
    ))
}

fn get(query: &str) -> Unverified {
    Unverified {
        method: http::Method::GET,
        ..request(&[], Some(query), "")
    }
}
