//! Keys and algorithms that the request names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::{HMAC, build, hex_mac, request, verdict, word};
use crate::keys::NoKeyDocuments;
use crate::verifier::Verifier;
use landfall_model::{Algorithm, Documents};

const SET: &str = "https://keys.example/set";

struct One(String);

impl Documents for One {
    fn get(&self, name: &str) -> Option<Bytes> {
        (name == SET).then(|| self.0.clone().into())
    }
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
fn keys_come_from_a_set() {
    let typed = |id: &str| {
        let typed = "scheme = \"signature\"\nalgorithm = \"ed25519\"\nencoding = \"hex\"\nprefix = \"\"\nfrom = { header = \"Sig\" }";
        build(&format!(
            "{typed}\nconfig = {{ host = \"keys.example\" }}\n\
             key_set = {{ url = \"https://{{config.host}}/set\"{id} }}"
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
