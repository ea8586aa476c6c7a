//! Keys that a provider publishes, and their rotation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use landfall_tests::ports::listener;
use landfall_tests::{Setup, guest};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

/// A key server: counts fetches and answers with the present key set.
async fn key_server(keys: Arc<std::sync::Mutex<String>>) -> (String, Arc<AtomicUsize>) {
    let (count, listener) = (Arc::new(AtomicUsize::new(0)), listener());
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let counted = count.clone();
    let answer = move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
        keys.lock().unwrap().clone()
    };
    tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/keys", get(answer)))
            .await
            .unwrap()
    });
    (url, count)
}

struct Signer {
    kid: String,
    pair: EcdsaKeyPair,
    random: ring::rand::SystemRandom,
}

impl Signer {
    fn new(kid: &str) -> Signer {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .unwrap();
        Signer {
            kid: kid.into(),
            pair,
            random,
        }
    }

    fn key_set(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&point[1..33]),
            URL_SAFE_NO_PAD.encode(&point[33..]),
        );
        let key = serde_json::json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y});
        serde_json::json!({ "keys": [key] }).to_string()
    }

    fn token(&self, audience: &str) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let header = serde_json::json!({"alg": "ES256", "kid": self.kid});
        let claims = serde_json::json!({"aud": audience, "exp": now + 300, "iat": now});
        let signed = format!("{}.{}", jwt_part(header), jwt_part(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
        format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn jwt_part(value: serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn rotated_keys_are_fetched_again() {
    let first = Signer::new("k1");
    let keys = Arc::new(std::sync::Mutex::new(first.key_set()));
    let (url, fetched) = key_server(keys.clone()).await;
    let verify = format!(
        "[verify]\nscheme = \"jwt\"\nfrom = {{ header = \"Authorization\" }}\n\
         prefix = \"Bearer \"\n\
         [verify.jwt]\nalgorithms = [\"ES256\"]\njwks = \"{url}\"\nclaims = {{ aud = \"me\" }}\n"
    );
    let node = Setup::new()
        .hook("in", &guest("answers_one"), &verify)
        .serving("in")
        .await;
    let post = async |token: String| node.post("/in", &[("authorization", &token)], "{}").await.0;
    assert_eq!(post(first.token("me")).await, 200, "{}", node.log());
    for _ in 0..5 {
        assert_eq!(post(first.token("me")).await, 200);
        assert_eq!(post(first.token("you")).await, 401);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
    // Tokens that name unknown keys do not cause repeated fetches.
    let stranger = Signer::new("k9");
    for _ in 0..5 {
        assert_eq!(post(stranger.token("me")).await, 401);
    }
    assert!(
        fetched.load(Ordering::SeqCst) <= 2,
        "{}",
        fetched.load(Ordering::SeqCst)
    );
}

#[tokio::test]
async fn a_key_server_outage_closes_hooks() {
    let verify = "[verify]\nscheme = \"jwt\"\nfrom = { header = \"A\" }\n[verify.jwt]\n\
         algorithms = [\"ES256\"]\n\
                  jwks = \"http://127.0.0.1:9/keys\"\nclaims = { aud = \"me\" }\n";
    let node = Setup::new()
        .hook("in", &guest("answers_one"), verify)
        .serving("in")
        .await;
    let token = Signer::new("k1").token("me").replace("Bearer ", "");
    assert_eq!(node.post("/in", &[("a", &token)], "{}").await.0, 503);
}
