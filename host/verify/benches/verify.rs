//! What the check adds to the hash itself: `cargo bench -p landfall --bench verify`. Medians, in
//! turns, in one run.

use std::time::{Duration, Instant, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use landfall_model::{KeyForm, Secret, VerifySpec};
use landfall_verify::{Keys, NoKeyDocuments, Packs, Verifier, VerifyContext, check, sign};
use sha2::Sha256;

const ROUNDS: usize = 20_000;
const BODY_BYTES: usize = 2048;
const PROVIDERS: [&str; 5] = ["github", "stripe", "slack", "standard-webhooks", "shopify"];

fn main() {
    println!(
        "{:<20} {:>10} {:>10} {:>10}",
        "provider", "check µs", "hash µs", "added µs"
    );

    for provider in PROVIDERS {
        let (check, hash) = measure(provider);
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        println!(
            "{provider:<20} {:>10.2} {:>10.2} {:>10.2}",
            micros(check),
            micros(hash),
            micros(check) - micros(hash)
        );
    }
}

fn measure(provider: &str) -> (Duration, Duration) {
    let spec = format!("provider = \"{provider}\"\nsecret = \"env:S\"");
    let verifier = Verifier::build(
        &toml::from_str::<VerifySpec>(&spec).unwrap(),
        &Packs::default(),
    )
    .unwrap();

    let secret = Secret::new("c2VjcmV0IGtleSBvZiBzb21lIGxlbmd0aA==");
    let keys = Keys::new([(verifier.key_form(), Ok(secret.clone()))]);
    let key = if verifier.key_form() == KeyForm::Utf8 {
        secret.expose().to_vec()
    } else {
        keys_bytes(&keys)
    };

    let mut draft = Packs::default()
        .find(provider)
        .unwrap()
        .draft(None, "https://a.example/x", SystemTime::now())
        .unwrap();

    draft.body = format!("{{\"text\":\"{}\"}}", "x".repeat(BODY_BYTES - 11)).into();
    let now = SystemTime::now();
    let request = sign(&verifier, draft, &key, now).unwrap();

    let context = VerifyContext {
        keys: &keys,
        documents: &NoKeyDocuments,
        now: Some(now),
    };

    let (mut checks, mut hashes) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        let asked = request.clone();
        let started = Instant::now();
        let checked = check(&verifier, asked, &context, None);
        checks.push(started.elapsed());
        assert!(checked.is_ok());
        let started = Instant::now();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();

        mac.update(&request.body);
        std::hint::black_box(mac.finalize());
        hashes.push(started.elapsed());
    }

    (median(checks), median(hashes))
}

fn keys_bytes(keys: &Keys) -> Vec<u8> {
    keys.iter().flatten().next().unwrap().to_vec()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
