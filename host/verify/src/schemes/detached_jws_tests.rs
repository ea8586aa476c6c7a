//! The signatures of these tests are in tests/fixtures/detached-jws.json.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;

use super::*;
use crate::keys::Keys;
use crate::request::Unverified;
use landfall_model::Documents;

const FIXTURES: &str = include_str!("../../../../tests/fixtures/detached-jws.json");
const URL: &str = "https://keys.example/jwks.json";

struct Set(String);

impl Documents for Set {
    fn get(&self, url: &str) -> Option<Bytes> {
        (url == URL).then(|| self.0.clone().into())
    }
}

fn verdict(fixtures: &Value, jws: &str, body: &[u8]) -> Result<(), Refusal> {
    let rules = DetachedJws {
        from: ValueLocation::Header("x-signature".into()),
        algorithms: vec!["RS256".into(), "ES256".into()],
        jwks: URL.into(),
        header_time: Some("ts".into()),
        window: Window {
            past: Some(Duration::from_secs(300)),
            future: Some(Duration::from_secs(60)),
        },
    };

    let mut headers = http::HeaderMap::new();
    headers.insert("x-signature", jws.parse().unwrap());
    let request = Unverified {
        method: http::Method::POST,
        path: "/in".into(),
        query: None,
        params: Vec::new(),
        headers,
        body: Bytes::copy_from_slice(body),
        decoded: None,
    };

    let now = Some(UNIX_EPOCH + Duration::from_secs(fixtures["now"].as_u64().unwrap()));
    let documents = Set(fixtures["jwks"].to_string());
    rules.check(
        rules.window,
        &View::new(&request, None),
        &VerifyContext {
            keys: &Keys::default(),
            documents: &documents,
            now,
        },
    )
}

#[test]
fn every_case_has_its_verdict() {
    let fixtures: Value = serde_json::from_str(FIXTURES).unwrap();
    let body = fixtures["body"].as_str().unwrap().as_bytes();
    let cases = fixtures["cases"].as_array().unwrap();
    assert!(cases.len() > 20);

    for case in cases {
        let got = match verdict(&fixtures, case["jws"].as_str().unwrap(), body) {
            Ok(()) => "ok",
            Err(refusal) => refusal.reason.word(),
        };

        assert_eq!(got, case["expect"].as_str().unwrap(), "{}", case["name"]);
    }
}

#[test]
fn changed_bytes_are_refused() {
    let fixtures: Value = serde_json::from_str(FIXTURES).unwrap();
    let body = fixtures["body"].as_str().unwrap().as_bytes();
    for case in fixtures["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["expect"] == "ok")
    {
        let jws = case["jws"].as_str().unwrap();
        for at in 0..body.len() {
            let mut body = body.to_vec();
            body[at] ^= 1;
            assert_eq!(
                verdict(&fixtures, jws, &body).unwrap_err().reason,
                Reason::SignatureMismatch,
                "{at}"
            );
        }

        for at in (0..jws.len()).filter(|at| &jws[*at..=*at] != ".") {
            let other = if &jws[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &jws[..at], &jws[at + 1..]);
            assert!(verdict(&fixtures, &changed, body).is_err(), "{at}");
        }
    }
}

#[test]
fn unknown_keys_refetch_the_set() {
    let fixtures: Value = serde_json::from_str(FIXTURES).unwrap();
    let body = fixtures["body"].as_str().unwrap().as_bytes();
    let cases = fixtures["cases"].as_array().unwrap();

    for (name, fetch) in [
        ("unknown id", Some(URL)),
        ("another key", Some(URL)),
        ("another key under a known id", None),
    ] {
        let case = cases.iter().find(|case| case["name"] == name).unwrap();
        let refusal = verdict(&fixtures, case["jws"].as_str().unwrap(), body).unwrap_err();
        assert_eq!(refusal.fetch.as_deref(), fetch, "{name}");
    }
}
