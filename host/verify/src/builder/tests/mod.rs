//! Tables that would refuse every request, accept every sender, or let a sender choose what is
//! signed do not load.

mod forms;
mod headers;
mod keys;
mod lists;
mod locations;
mod message_signatures;
mod payloads;
mod tokens;

use super::BuildError;
use crate::pack::Packs;
use crate::verifier::Verifier;

const HMAC: &str = "scheme = \"signature\"\nsecret = \"env:S\"\nfrom = { header = \"Sig\" }\n";

const MESSAGE: &str =
    "scheme = \"http-message-signatures\"\nsecret = \"env:S\"\nalgorithm = \"hmac-sha256\"\n";

const URL: &str = "public_url = \"https://hooks.example.com\"\n";

fn build(text: &str) -> Result<Verifier, BuildError> {
    Verifier::build(
        &toml::from_str(text).unwrap_or_else(|why| panic!("{text}: {why}")),
        &Packs::default(),
    )
}

/// Each table is refused at the key, with these words.
fn assert_refused(cases: &[(String, &str, &str)]) {
    for (text, key, words) in cases {
        match build(text) {
            Ok(_) => panic!("it loads: {text}"),
            Err(error) => {
                assert_eq!(error.key, *key, "{text}: {}", error.message);
                assert!(error.message.contains(words), "{text}: {}", error.message);
            }
        }
    }
}

fn jwt(from: &str, rules: &str) -> String {
    let table = "scheme = \"jwt\"\nsecret = \"env:S\"\n";
    format!("{table}from = {{ {from} }}\njwt = {{ algorithms = [\"HS256\"], {rules} }}\n{URL}")
}
