//! The parts of the signature language that packs of several providers share, each as a hook would
//! write it.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;

use crate::algorithm::{Running, mac};
use crate::check::{Verdict, check};
use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
use crate::pack::Packs;
use crate::refusal::Refusal;
use crate::request::{Unverified, Verified};
use crate::verifier::Verifier;
use landfall_model::{
    Algorithm, DedupId, DedupSpec, DeliveryId, Documents, KeyForm, Secret, ValueLocation,
    VerifySpec,
};

const NOW: Duration = Duration::from_secs(1_760_000_000);
const SET: &str = "https://keys.example/set";

struct One(String);

impl Documents for One {
    fn get(&self, name: &str) -> Option<Bytes> {
        (name == SET).then(|| self.0.clone().into())
    }
}

fn build(toml: &str) -> Result<Verifier, super::BuildError> {
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

fn digest(algorithm: Algorithm, text: &[u8]) -> String {
    let mut running = Running::new(algorithm, b"").unwrap();
    running.update(text);
    hex::encode(running.finish())
}

const HMAC: &str = "scheme = \"signature\"\nalgorithm = \"hmac-sha256\"\nencoding = \"hex\"\nprefix = \"\"\nsecret = \"env:S\"\nfrom = { header = \"Sig\" }\n";

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
fn only_pinned_methods_are_accepted() {
    let methods = |names: &str| {
        let typed = "scheme = \"signature\"\nencoding = \"hex\"\nsecret = \"env:S\"\nfrom = { header = \"Sig\" }";
        build(&format!(
            "provider = \"websub\"\nconfig = {{ topics = \"*\" }}\n{typed}\nmethods = {names}"
        ))
    };

    let pinned = methods("[\"sha256\", \"sha512\"]").unwrap();
    let signed = |method: &str, algorithm| format!("{method}={}", hex_mac(algorithm, "x"));
    for (text, expected) in [
        (signed("sha256", Algorithm::HmacSha256), "accept"),
        (signed("sha512", Algorithm::HmacSha512), "accept"),
        (signed("sha1", Algorithm::HmacSha1), "algorithm_not_allowed"),
        (
            signed("SHA256", Algorithm::HmacSha256),
            "algorithm_not_allowed",
        ),
        (
            signed("sha512", Algorithm::HmacSha256),
            "malformed_signature",
        ),
        (hex_mac(Algorithm::HmacSha256, "x"), "malformed_signature"),
    ] {
        assert_eq!(
            word(&pinned, request(&[("sig", &text)], None, "x")),
            expected,
            "{text}"
        );
    }

    let sha1 = methods("[\"sha1\"]").unwrap();
    let text = signed("sha1", Algorithm::HmacSha1);
    assert_eq!(word(&sha1, request(&[("sig", &text)], None, "x")), "accept");

    assert!(
        methods("[]")
            .unwrap_err()
            .message
            .contains("methods is empty")
    );

    assert!(
        methods("[\"md5\"]")
            .unwrap_err()
            .message
            .contains("not a method")
    );
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

fn ed25519() -> Ed25519KeyPair {
    Ed25519KeyPair::from_pkcs8(
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .unwrap()
            .as_ref(),
    )
    .unwrap()
}

fn web_key(pair: &Ed25519KeyPair, kid: Option<&str>) -> serde_json::Value {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid })
}

#[test]
fn keys_come_from_a_set() {
    let typed = |id: &str| {
        let typed = "scheme = \"signature\"\nalgorithm = \"ed25519\"\nencoding = \"hex\"\nprefix = \"\"\nfrom = { header = \"Sig\" }";
        build(&format!(
            "{typed}\nconfig = {{ host = \"keys.example\" }}\nkey_set = {{ url = \"https://{{config.host}}/set\"{id} }}"
        ))
    };

    let (one, two, stranger) = (ed25519(), ed25519(), ed25519());
    let set =
        One(json!({ "keys": [web_key(&one, Some("1")), web_key(&two, Some("2"))] }).to_string());

    let ask = |verifier: &Verifier,
               signer: &Ed25519KeyPair,
               kid: Option<&str>,
               documents: &dyn Documents| {
        let signature = hex::encode(signer.sign(b"{}").as_ref());
        let headers: Vec<_> = [("sig", signature.as_str())]
            .into_iter()
            .chain(kid.map(|kid| ("kid", kid)))
            .collect();
        verdict(verifier, request(&headers, None, "{}"), documents, "k")
            .map(|verified| verified.fact("verified-by").unwrap().to_owned())
            .map_err(|refusal| (refusal.reason.word(), refusal.fetch.is_some()))
    };

    let any = typed("").unwrap();
    assert!(!any.needs_secret() && any.names_its_keys());
    assert_eq!(ask(&any, &two, None, &set), Ok("signature".into()));

    // The set may hold another key by now, and nothing in the request says which.
    assert_eq!(
        ask(&any, &stranger, None, &set),
        Err(("signature_mismatch", true))
    );

    assert_eq!(
        ask(&any, &one, None, &NoKeyDocuments),
        Err(("key_unavailable", true))
    );

    let named = typed(", id = { header = \"Kid\" }").unwrap();
    assert_eq!(ask(&named, &two, Some("2"), &set), Ok("signature".into()));
    assert_eq!(
        ask(&named, &two, Some("1"), &set),
        Err(("signature_mismatch", false))
    );

    assert_eq!(
        ask(&named, &two, Some("3"), &set),
        Err(("key_unavailable", true))
    );

    assert_eq!(
        ask(&named, &two, None, &set),
        Err(("key_unavailable", false))
    );

    let shared = build(&format!("{HMAC}key_set = {{ url = \"{SET}\" }}"));
    assert!(shared.unwrap_err().message.contains("public keys"));
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
    let der = super::key::decode(KeyForm::Pem, &Secret::new(pem.as_str())).unwrap();
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

#[derive(serde::Deserialize)]
struct Id {
    id: DeliveryId,
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

#[test]
fn slack_and_sharepoint_checks_are_answered() {
    let status = |provider: &str, method: http::Method, query: Option<&str>, body: &'static str| {
        let verifier = build(&format!("provider = \"{provider}\"\nsecret = \"env:S\"")).unwrap();
        let asked = Unverified {
            method,
            ..request(&[], query, body)
        };

        let keys = Keys::new([(verifier.key_form(), Ok(Secret::new("k")))]);
        let context = VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now: Some(UNIX_EPOCH + NOW),
        };

        match check(&verifier, asked, &context, None) {
            Ok(Verdict::Challenge(answer)) => (answer.status, answer.body.map(|(_, text)| text)),
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(
        status("slack", http::Method::POST, None, "token=t&ssl_check=1"),
        (200, None)
    );

    assert_eq!(
        status("slack", http::Method::GET, Some("ssl_check=1&token=t"), ""),
        (200, None)
    );

    let echoed = (200, Some("a b".to_owned()));
    assert_eq!(
        status(
            "microsoft-graph",
            http::Method::POST,
            Some("validationtoken=a+b"),
            ""
        ),
        echoed
    );

    assert_eq!(
        status(
            "microsoft-graph",
            http::Method::POST,
            Some("validationToken=a+b"),
            ""
        ),
        echoed
    );
}
