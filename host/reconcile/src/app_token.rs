//! The token by which a GitHub App calls the API: a JWT that its private key signs with RS256.
//!
//! Source: docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/
//! generating-a-json-web-token-jwt-for-a-github-app (`iat` 60 s in the past, `exp` at most ten
//! minutes ahead, `iss` the id of the app).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;

use landfall_model::Secret;

const BACKDATED_S: i64 = 60;
const LIFETIME_S: i64 = 9 * 60;

/// A token for this app. `None`: the secret is not a private RSA key in PEM.
pub(crate) fn app_token(app_id: u64, key: &Secret, now_s: i64) -> Option<String> {
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "iat": now_s - BACKDATED_S,
        "exp": now_s + LIFETIME_S,
        "iss": app_id.to_string(),
    });
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );

    let pair = key_pair(key)?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .ok()?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// GitHub makes keys in PKCS #1 (`BEGIN RSA PRIVATE KEY`); PKCS #8 (`BEGIN PRIVATE KEY`) is taken
/// too.
fn key_pair(key: &Secret) -> Option<RsaKeyPair> {
    let text = std::str::from_utf8(key.expose()).ok()?;
    let mut parts = text.split("-----");
    let label = parts.nth(1)?;
    let base64: String = parts.next()?.split_whitespace().collect();
    let der = STANDARD.decode(base64).ok()?;
    match label {
        "BEGIN RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok(),
        "BEGIN PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_secrets_are_no_key() {
        for text in [
            "",
            "ghp_token",
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ] {
            assert_eq!(
                app_token(1, &Secret::new(text), 1_700_000_000),
                None,
                "{text}"
            );
        }
    }
}
