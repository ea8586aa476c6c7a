//! Google Secret Manager and Cloud KMS. Who we are comes from application default credentials: the file that
//! `GOOGLE_APPLICATION_CREDENTIALS` names (a service account or an authorized user), else the metadata server.
//! Sources: cloud.google.com/secret-manager/docs/reference/rest, cloud.google.com/kms/docs/reference/rest,
//! cloud.google.com/docs/authentication/application-default-credentials.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::remote::{Call, text};
use crate::config::env;
use crate::model::{Clock, Secret};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// A token is renewed this long before it ends.
const MARGIN: Duration = Duration::from_secs(60);
const CIPHERTEXT_BYTES_MAX: u64 = 64 << 10;

/// The present access token.
#[derive(Default)]
pub struct Tokens {
    kept: Mutex<Option<(String, Instant)>>,
}

/// Secret Manager: `projects/P/secrets/NAME/versions/V`.
pub async fn secret(tokens: &Tokens, name: &str) -> Result<Secret, String> {
    let base = env::var("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER")
        .unwrap_or_else(|| "https://secretmanager.googleapis.com/".into());
    let url = format!("{}/v1/{name}:access", base.trim_end_matches('/'));
    let call = Call { method: "GET", url, headers: vec![tokens.header().await?], body: Vec::new() };
    decoded(text(&call.json().await?, "/payload/data")?)
}

/// Cloud KMS: the file holds ciphertext, as bytes or as base64.
pub async fn decrypted(tokens: &Tokens, key: &str, path: &Path) -> Result<Secret, String> {
    let file = tokio::fs::read(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
    if file.len() as u64 > CIPHERTEXT_BYTES_MAX {
        return Err(format!("{} has more than {CIPHERTEXT_BYTES_MAX} bytes", path.display()));
    }
    let joined: Vec<u8> = file.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let is_base64 = STANDARD.decode(&joined).is_ok();
    let ciphertext =
        if is_base64 { String::from_utf8(joined).expect("base64 is text") } else { STANDARD.encode(&file) };
    let base = env::var("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS")
        .unwrap_or_else(|| "https://cloudkms.googleapis.com/".into());
    let url = format!("{}/v1/{key}:decrypt", base.trim_end_matches('/'));
    let headers = vec![tokens.header().await?, ("content-type".into(), "application/json".into())];
    let body = json!({ "ciphertext": ciphertext }).to_string().into_bytes();
    decoded(text(&Call { method: "POST", url, headers, body }.json().await?, "/plaintext")?)
}

// === impl Tokens ===

impl Tokens {
    async fn header(&self) -> Result<(String, String), String> {
        let mut kept = self.kept.lock().await;
        if let Some((token, until)) = &*kept
            && *until > Instant::now() + MARGIN
        {
            return Ok(("authorization".into(), format!("Bearer {token}")));
        }
        let answer = fresh().await?;
        let token = text(&answer, "/access_token")?.to_owned();
        let seconds = answer.pointer("/expires_in").and_then(Value::as_u64).unwrap_or(0);
        *kept = Some((token.clone(), Instant::now() + Duration::from_secs(seconds)));
        Ok(("authorization".into(), format!("Bearer {token}")))
    }
}

async fn fresh() -> Result<Value, String> {
    let Some(path) = env::var("GOOGLE_APPLICATION_CREDENTIALS") else { return from_metadata().await };
    let file = tokio::fs::read(&path).await.map_err(|error| format!("{path}: {error}"))?;
    let credentials: Value = serde_json::from_slice(&file).map_err(|_| format!("{path} is not JSON"))?;
    let at = |key: &str| text(&credentials, key).map_err(|_| format!("{path} has no `{}`", &key[1..]));
    let form = match at("/type")? {
        "service_account" => {
            let token_uri = at("/token_uri")?;
            let assertion = assertion(at("/client_email")?, at("/private_key")?, token_uri)?;
            let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned();
            (token_uri.to_owned(), vec![("grant_type", grant), ("assertion", assertion)])
        }
        "authorized_user" => {
            let form =
                [("client_id", "/client_id"), ("client_secret", "/client_secret"), ("refresh_token", "/refresh_token")];
            let mut form =
                form.iter().map(|(name, key)| Ok((*name, at(key)?.to_owned()))).collect::<Result<Vec<_>, String>>()?;
            form.push(("grant_type", "refresh_token".into()));
            let token_uri = text(&credentials, "/token_uri").unwrap_or("https://oauth2.googleapis.com/token");
            (token_uri.to_owned(), form)
        }
        other => {
            return Err(format!(
                "{path}: credentials of type `{other}` cannot be used: service_account and authorized_user can"
            ));
        }
    };
    let (url, pairs) = form;
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes();
    let headers = vec![("content-type".into(), "application/x-www-form-urlencoded".into())];
    Call { method: "POST", url, headers, body }.json().await
}

async fn from_metadata() -> Result<Value, String> {
    let host = env::var("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".into());
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let headers = vec![("metadata-flavor".into(), "Google".into())];
    let answer = Call { method: "GET", url, headers, body: Vec::new() }.json().await;
    answer.map_err(|why| {
        format!("no credentials: GOOGLE_APPLICATION_CREDENTIALS is not set and there is no metadata server ({why})")
    })
}

/// A signed request for a token (RFC 7523).
fn assertion(email: &str, private_key: &str, audience: &str) -> Result<String, String> {
    let now = Clock::System.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "iss": email, "scope": SCOPE, "aud": audience, "iat": now, "exp": now + 3600 });
    let signed = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
    let unreadable = "the private key of the service account cannot be read";
    let inner = private_key.split("-----").nth(2).ok_or(unreadable)?;
    let der = STANDARD.decode(inner.split_whitespace().collect::<String>()).map_err(|_| unreadable)?;
    let pair = RsaKeyPair::from_pkcs8(&der).map_err(|_| unreadable)?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| unreadable)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn decoded(base64: &str) -> Result<Secret, String> {
    STANDARD.decode(base64).map(Secret::new).map_err(|_| "the answer holds broken base64".into())
}
