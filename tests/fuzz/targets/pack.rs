//! Any text as a provider pack of the operator: if it can be read and a verifier can be built of it, the verifier checks a request.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use landfall_model::{ConfigValue, Secret, VerifySpec};
use landfall_verify::{
    Keys, NoKeyDocuments, Packs, Unverified, Verifier, VerifyContext, check, is_challenge,
};

const NAME: &str = "fuzzed";

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let packs = Packs::with(BTreeMap::from([(NAME.to_owned(), Ok(text.to_owned()))]));
    let Ok(pack) = packs.find(NAME) else {
        assert!(!packs.broken().is_empty(), "{text}");
        return;
    };
    let config = pack.config.keys().map(|key| {
        let value = ConfigValue::One("https://a.example".into());
        (key.clone(), value)
    });
    let spec = VerifySpec {
        provider: Some(NAME.into()),
        secret: vec!["env:S".parse().expect("it is a reference")],
        public_url: Some("https://hooks.example.com".into()),
        config: config.collect(),
        ..VerifySpec::default()
    };
    let Ok(verifier) = Verifier::build(&spec, &packs) else {
        return;
    };
    let keys = Keys::new([(verifier.key_form(), Ok(Secret::new("secret")))]);
    let context = VerifyContext {
        keys: &keys,
        documents: &NoKeyDocuments,
        now: Some(UNIX_EPOCH + Duration::from_secs(1_760_000_000)),
    };
    let request = request();
    is_challenge(&verifier, &request);
    check(&verifier, request, &context, None).ok();
}

fn request() -> Unverified {
    let mut headers = HeaderMap::new();
    let content_type = HeaderValue::from_static("application/json");
    headers.insert(http::header::CONTENT_TYPE, content_type);
    Unverified {
        method: Method::POST,
        path: "/in".into(),
        query: Some("challenge=c".into()),
        params: Vec::new(),
        headers,
        body: Bytes::from_static(b"{\"type\": \"url_verification\", \"challenge\": \"c\"}"),
        decoded: None,
    }
}
