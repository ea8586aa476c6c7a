//! JSON web tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::{build, request, verdict, word};
use crate::algorithm::mac;
use crate::key;
use crate::keys::NoKeyDocuments;
use landfall_model::{Algorithm, DedupId, DedupSpec, DeliveryId, KeyForm, Secret, ValueLocation};

#[derive(serde::Deserialize)]
struct Id {
    id: DeliveryId,
}

/// A key pair on P-256 and its public key in PEM.
fn p256() -> (EcdsaKeyPair, String) {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
            .unwrap();
    let head = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let spki = STANDARD.encode([&head, pair.public_key().as_ref()].concat());

    (
        pair,
        format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n"),
    )
}

fn token(algorithm: &str, claims: &serde_json::Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": algorithm })), part(claims));
    format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()))
    )
}

#[test]
fn tokens_may_be_the_body() {
    let (pair, pem) = p256();
    let sign = |bytes: &[u8]| {
        pair.sign(&SystemRandom::new(), bytes)
            .unwrap()
            .as_ref()
            .to_vec()
    };

    let typed = "scheme = \"jwt\"\nkey = \"pem\"\nsecret = \"env:S\"\nfrom = { body = \"whole\" }\njwt = { algorithms = [\"ES256\"], no_expiry = true }";
    let verifier = build(typed).unwrap();
    let verifier = verifier
        .with_locations(
            &DedupSpec {
                id: DedupId::At(
                    toml::from_str::<Id>("id = { claim = \"/data/id\" }")
                        .unwrap()
                        .id,
                ),
                id_match: None,
                window: Duration::from_secs(60),
            },
            Some(ValueLocation::Claim("/data/inner/type".into())),
            "/hook",
        )
        .unwrap();

    let claims = json!({ "data": "{\"id\":\"e1\",\"inner\":\"{\\\"type\\\":\\\"order\\\"}\"}" });
    let event = verdict(
        &verifier,
        request(&[], None, token("ES256", &claims, sign)),
        &NoKeyDocuments,
        &pem,
    )
    .unwrap();

    assert_eq!(
        (event.fact("delivery-id"), event.fact("order-key")),
        (Some("e1"), Some("order"))
    );

    assert_eq!(event.fact("verified-by"), Some("jwt#1"));
    let ask = |body: String| {
        verdict(&verifier, request(&[], None, body), &NoKeyDocuments, &pem)
            .unwrap_err()
            .reason
            .word()
    };

    let many = format!("[{}0]", "{},".repeat(30_000));
    assert_eq!(
        ask(token(
            "ES256",
            &serde_json::from_str(&format!("{{\"a\":{many}}}")).unwrap(),
            sign
        )),
        "malformed_signature"
    );

    let (stranger, _) = p256();
    let by_stranger = |bytes: &[u8]| {
        stranger
            .sign(&SystemRandom::new(), bytes)
            .unwrap()
            .as_ref()
            .to_vec()
    };

    assert_eq!(
        ask(token("ES256", &claims, by_stranger)),
        "signature_mismatch"
    );

    // The public key is no secret: a MAC with it proves nothing.
    let der = key::decode(KeyForm::Pem, &Secret::new(pem.as_str())).unwrap();
    for key in [pem.as_bytes(), &der[..]] {
        let with_public = |bytes: &[u8]| mac(Algorithm::HmacSha256, key, bytes);
        assert_eq!(
            ask(token("HS256", &claims, with_public)),
            "algorithm_not_allowed"
        );
    }

    let mixed = build(&typed.replace("[\"ES256\"]", "[\"ES256\", \"HS256\"]"));
    assert!(mixed.unwrap_err().message.contains("never mixed"));
}

#[test]
fn a_token_binds_the_body() {
    let typed = |rules: &str| {
        build(&format!("scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = {{ header = \"T\" }}\nprefix = \"Bearer \"\njwt = {{ algorithms = [\"HS256\"], no_expiry = true, {rules} }}")).unwrap()
    };

    let sign = |bytes: &[u8]| mac(Algorithm::HmacSha256, b"k", bytes);
    let ask = |rules: &str, prefix: &str, claims: serde_json::Value, body: &'static str| {
        let text = format!("{prefix}{}", token("HS256", &claims, sign));
        word(&typed(rules), request(&[("t", &text)], None, body))
    };

    let hash = json!({ "h": "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=" });
    let base64 = "body_hash = \"h\", body_hash_encoding = \"base64\"";
    assert_eq!(ask(base64, "Bearer ", hash.clone(), "{}"), "accept");
    assert_eq!(ask(base64, "bearer ", hash.clone(), "{}"), "accept");

    assert_eq!(
        ask(base64, "Bearer ", hash.clone(), "[]"),
        "body_hash_mismatch"
    );

    assert_eq!(ask(base64, "Bearer ", json!({}), "{}"), "body_hash_missing");
    let claim = "body_claim = \"data\"";
    assert_eq!(
        ask(claim, "Bearer ", json!({ "data": "{}" }), "{}"),
        "accept"
    );

    assert_eq!(
        ask(claim, "Bearer ", json!({ "data": "{}" }), "{ }"),
        "body_hash_mismatch"
    );

    assert_eq!(ask(claim, "Bearer ", json!({}), "{}"), "body_hash_missing");
    // A prefix is there, unless the table says that it may be left out.
    assert_eq!(ask(base64, "", hash.clone(), "{}"), "malformed_signature");
    assert_eq!(
        ask(&format!("{base64}, prefix_optional = true"), "", hash, "{}"),
        "accept"
    );
}
