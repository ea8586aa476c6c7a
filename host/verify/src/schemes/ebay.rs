//! eBay notifications: an ECDSA signature over the body. eBay's Notification API returns the key by
//! its id, to applications only. Sources: developer.ebay.com (Notification API, `getPublicKey`) and
//! eBay/event-notification-nodejs-sdk (`lib/validator.js`, `lib/client.js`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::common::{document, from_base64, header, mismatch};
use crate::algorithm::{EcdsaDigest, is_p256_signed};
use crate::certificate::pem_bytes;
use crate::lookup::{KeyGrant, is_plain};
use crate::refusal::{Reason, Refusal, malformed};
use crate::view::View;
use landfall_model::Documents;

const SIGNATURE: &str = "X-EBAY-SIGNATURE";
const HEADER_BYTES_MAX: usize = 4096;

/// eBay's environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ebay {
    Production,
    Sandbox,
}

// === impl Ebay ===

impl Ebay {
    /// The URL of a key.
    pub(crate) fn key_url(self, key_id: &str) -> String {
        format!(
            "{}/commerce/notification/v1/public_key/{key_id}",
            self.api()
        )
    }

    /// How to get an access token for key requests. The hook's secret is `CLIENT_ID:CLIENT_SECRET`.
    pub(crate) fn grant(self) -> KeyGrant {
        KeyGrant {
            token_url: format!("{}/identity/v1/oauth2/token", self.api()),
            scope: "https://api.ebay.com/oauth/api_scope",
        }
    }

    fn api(self) -> &'static str {
        match self {
            Ebay::Production => "https://api.ebay.com",
            Ebay::Sandbox => "https://api.sandbox.ebay.com",
        }
    }

    pub(crate) fn check(self, view: &View<'_>, documents: &dyn Documents) -> Result<(), Refusal> {
        let presented = header(view, SIGNATURE, Reason::MissingSignature)?;
        if presented.len() > HEADER_BYTES_MAX {
            return Err(malformed(format!(
                "header {SIGNATURE} has more than {HEADER_BYTES_MAX} bytes"
            )));
        }

        let presented: Value = serde_json::from_slice(&from_base64(presented)?)
            .map_err(|_| malformed(format!("header {SIGNATURE} is not JSON in base64")))?;
        if !text(&presented, "alg").is_some_and(|alg| alg.eq_ignore_ascii_case("ecdsa")) {
            return Err(Refusal::new(
                Reason::AlgorithmNotAllowed,
                format!("alg in {SIGNATURE} is not ecdsa"),
            ));
        }

        let signature = text(&presented, "signature")
            .ok_or_else(|| malformed(format!("{SIGNATURE} has no signature")))?;
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| malformed("not base64"))?;
        let key_id = text(&presented, "kid").filter(|id| is_plain(id) && !id.starts_with('.'));
        let key_id = key_id.ok_or_else(|| {
            Refusal::new(Reason::KeyUnavailable, format!("{SIGNATURE} names no key"))
        })?;
        let (key, digest) = key_of(&document(documents, &self.key_url(key_id))?)?;

        if !text(&presented, "digest")
            .is_some_and(|named| named.eq_ignore_ascii_case(digest.name()))
        {
            let detail = format!(
                "digest in {SIGNATURE} is not {}, which the key is for",
                digest.name()
            );

            return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
        }

        if is_p256_signed(digest, &key, &view.request.body, &signature) {
            Ok(())
        } else {
            Err(mismatch())
        }
    }
}

/// Parses the API's response: `{"key": PEM, "algorithm": "ECDSA", "digest": "SHA1"}`.
fn key_of(document: &[u8]) -> Result<(Vec<u8>, EcdsaDigest), Refusal> {
    let answer: Value = serde_json::from_slice(document).map_err(|_| unusable("is not JSON"))?;
    let key = text(&answer, "key").ok_or_else(|| unusable("holds no key"))?;
    let key = pem_bytes(key, "PUBLIC KEY").map_err(|_| unusable("holds no key in PEM"))?;

    match text(&answer, "digest")
        .map(str::to_ascii_uppercase)
        .as_deref()
    {
        None | Some("SHA1") => Ok((key, EcdsaDigest::Sha1)),
        Some("SHA256") => Ok((key, EcdsaDigest::Sha256)),
        Some(_) => Err(unusable("names a digest that is not known")),
    }
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn unusable(why: &str) -> Refusal {
    Refusal::new(
        Reason::KeyUnavailable,
        format!("the answer of eBay for the key {why}"),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::request::Unverified;

    struct Keys(BTreeMap<String, String>);

    impl Documents for Keys {
        fn get(&self, url: &str) -> Option<Bytes> {
            self.0.get(url).map(|text| text.clone().into())
        }
    }

    const KEY_ID: &str = "9936261a-7d7b-4621-a0f1-96ccb428af49";
    const KEY: &str = "-----BEGIN PUBLIC KEY-----MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZhhxXKtR+TOvtDbgTPCkSof02qgBB7IsYOyf76ilExJ/upAa/vKIKheOoCyOpcLmi4t0b4uepb7LLjmMr90FUg==-----END PUBLIC KEY-----";
    // Published in eBay/event-notification-nodejs-sdk, test/test.json.
    const SIGNED: &str = "MEYCIQCfxfIWuxmWcIBQJ9c5/X7iGDJqs2RCGsBEaAjinyrrfAIhAIV6wGcTiBuV5KJUif2hokyrL+Q9ssHkad+mx2nEE25w";
    const BODY: &str = r#"{"metadata":{"topic":"MARKETPLACE_ACCOUNT_DELETION","schemaVersion":"1.0","deprecated":false},"notification":{"notificationId":"49feeaeb-4982-42d9-a377-9645b8479411_33f7e043-fed8-442b-9d44-791923bd9a6d","eventDate":"2021-03-19T20:43:59.462Z","publishDate":"2021-03-19T20:43:59.679Z","publishAttemptCount":1,"data":{"username":"test_user","userId":"ma8vp1jySJC","eiasToken":"nY+sHZ2PrBmdj6wVnY+sEZ2PrA2dj6wJnY+gAZGEpwmdj6x9nY+seQ=="}}}"#;

    fn verdict(presented: &Value, body: &[u8], answer: Option<Value>) -> Result<(), Refusal> {
        let mut headers = http::HeaderMap::new();
        headers.insert(
            "x-ebay-signature",
            STANDARD.encode(presented.to_string()).parse().unwrap(),
        );

        let request = Unverified {
            method: http::Method::POST,
            path: "/in".into(),
            query: None,
            params: Vec::new(),
            headers,
            body: Bytes::copy_from_slice(body),
            decoded: None,
        };

        let keys = answer
            .map(|answer| (Ebay::Production.key_url(KEY_ID), answer.to_string()))
            .into_iter()
            .collect();

        Ebay::Production.check(&View::new(&request, None), &Keys(keys))
    }

    fn presented() -> Value {
        serde_json::json!({ "alg": "ecdsa", "kid": KEY_ID, "signature": SIGNED, "digest": "SHA1" })
    }

    fn answer(digest: &str) -> Option<Value> {
        Some(serde_json::json!({ "key": KEY, "algorithm": "ECDSA", "digest": digest }))
    }

    #[test]
    fn published_notification_is_accepted() {
        verdict(&presented(), BODY.as_bytes(), answer("SHA1")).unwrap();
    }

    #[test]
    fn flipped_bytes_are_refused() {
        for at in 0..BODY.len() {
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= 1;
            assert_eq!(
                verdict(&presented(), &body, answer("SHA1"))
                    .unwrap_err()
                    .reason,
                Reason::SignatureMismatch,
                "{at}"
            );
        }

        let signature = STANDARD.decode(SIGNED).unwrap();
        for at in 0..signature.len() {
            let mut signature = signature.clone();
            signature[at] ^= 1;
            let mut presented = presented();
            presented["signature"] = STANDARD.encode(signature).into();

            assert!(
                verdict(&presented, BODY.as_bytes(), answer("SHA1")).is_err(),
                "{at}"
            );
        }
    }

    fn refused(name: &str, value: &str, answer: Option<Value>) -> Refusal {
        let mut presented = presented();
        presented[name] = value.into();
        verdict(&presented, BODY.as_bytes(), answer).unwrap_err()
    }

    #[test]
    fn sender_chooses_neither_algorithm_nor_host() {
        assert_eq!(
            refused("alg", "none", answer("SHA1")).reason,
            Reason::AlgorithmNotAllowed
        );

        assert_eq!(
            refused("digest", "SHA256", answer("SHA1")).reason,
            Reason::AlgorithmNotAllowed
        );

        assert_eq!(
            refused("digest", "MD5", answer("MD5")).reason,
            Reason::KeyUnavailable
        );

        assert_eq!(
            refused("digest", "SHA256", answer("SHA256")).reason,
            Reason::SignatureMismatch
        );

        for id in [
            "",
            "..",
            "../../x",
            "a/b",
            "a?b",
            "a#b",
            "https://evil.example/key",
            &"a".repeat(200),
        ] {
            let refusal = refused("kid", id, None);
            assert_eq!(
                (refusal.reason, refusal.fetch),
                (Reason::KeyUnavailable, None),
                "{id}"
            );
        }

        let unknown = refused("kid", "other", None);
        let url = "https://api.ebay.com/commerce/notification/v1/public_key/other";
        assert_eq!(
            (unknown.reason, unknown.fetch.as_deref()),
            (Reason::KeyUnavailable, Some(url))
        );
    }
}
