//! The parts of the signature language that packs of several providers share, each as a hook would
//! write it.

mod challenges;
mod keys;
mod lists;
mod payloads;
mod tokens;

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::BuildError;
use crate::algorithm::mac;
use crate::check::{Verdict, check};
use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
use crate::pack::Packs;
use crate::refusal::Refusal;
use crate::request::{Unverified, Verified};
use crate::verifier::Verifier;
use landfall_model::{Algorithm, Documents, Secret, VerifySpec};

const NOW: Duration = Duration::from_secs(1_760_000_000);

const HMAC: &str = "scheme = \"signature\"\nalgorithm = \"hmac-sha256\"\nencoding = \"hex\"\nprefix = \"\"\nsecret = \"env:S\"\nfrom = { header = \"Sig\" }\n";

fn build(toml: &str) -> Result<Verifier, BuildError> {
    Verifier::build(
        &toml::from_str::<VerifySpec>(toml).unwrap(),
        &Packs::default(),
    )
}

fn request(headers: &[(&str, &str)], query: Option<&str>, body: impl Into<Bytes>) -> Unverified {
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
        decoded: None,
        headers: map,
        body: body.into(),
    }
}

/// The verdict with the secret `k`.
fn verdict(
    verifier: &Verifier,
    request: Unverified,
    documents: &dyn Documents,
    secret: &str,
) -> Result<Verified, Refusal> {
    let keys = Keys::new([(verifier.key_form(), Ok(Secret::new(secret)))]);
    let context = VerifyContext {
        keys: &keys,
        documents,
        now: Some(UNIX_EPOCH + NOW),
    };

    check(verifier, request, &context, None).map(|checked| match checked {
        Verdict::Verified(verified) => verified,
        other @ Verdict::Challenge(_) => panic!("{other:?}"),
    })
}

fn word(verifier: &Verifier, asked: Unverified) -> &'static str {
    verdict(verifier, asked, &NoKeyDocuments, "k")
        .map_or_else(|refusal| refusal.reason.word(), |_| "accept")
}

fn hex_mac(algorithm: Algorithm, text: &str) -> String {
    hex::encode(mac(algorithm, b"k", text.as_bytes()))
}
