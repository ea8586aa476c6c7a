//! Google Secret Manager and Cloud KMS. Who we are comes from application default credentials: the file that
//! `GOOGLE_APPLICATION_CREDENTIALS` names (a service account or an authorized user), else the metadata server.
//! Sources: cloud.google.com/secret-manager/docs/reference/rest, cloud.google.com/kms/docs/reference/rest,
//! cloud.google.com/docs/authentication/application-default-credentials.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::remote::{Call, text};
use super::tokens::{Fresh, Tokens};
use landfall_config::env;
use landfall_model::{Clock, Secret};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The metadata server does not say.
const ID_TOKEN_LASTS: Duration = Duration::from_secs(3000);
const CIPHERTEXT_BYTES_MAX: u64 = 64 << 10;

/// Secret Manager: `projects/P/secrets/NAME/versions/V`.
pub async fn secret(tokens: &Tokens, name: &str) -> Result<Secret, String> {
    let base = env::var("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER")
        .unwrap_or_else(|| "https://secretmanager.googleapis.com/".into());
    let url = format!("{}/v1/{name}:access", base.trim_end_matches('/'));
    let call = Call {
        method: "GET",
        url,
        headers: vec![header(tokens).await?],
        body: Vec::new(),
    };
    decoded(text(&call.json().await?, "/payload/data")?)
}

/// Cloud KMS: the file holds ciphertext, as bytes or as base64.
pub async fn decrypted(tokens: &Tokens, key: &str, path: &Path) -> Result<Secret, String> {
    let file = tokio::fs::read(path)
        .await
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if file.len() as u64 > CIPHERTEXT_BYTES_MAX {
        return Err(format!(
            "{} has more than {CIPHERTEXT_BYTES_MAX} bytes",
            path.display()
        ));
    }
    let joined: Vec<u8> = file
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let is_base64 = STANDARD.decode(&joined).is_ok();
    let ciphertext = if is_base64 {
        String::from_utf8(joined).expect("base64 is text")
    } else {
        STANDARD.encode(&file)
    };
    let base = env::var("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS")
        .unwrap_or_else(|| "https://cloudkms.googleapis.com/".into());
    let url = format!("{}/v1/{key}:decrypt", base.trim_end_matches('/'));
    let headers = vec![
        header(tokens).await?,
        ("content-type".into(), "application/json".into()),
    ];
    let body = json!({ "ciphertext": ciphertext }).to_string().into_bytes();
    decoded(text(
        &Call {
            method: "POST",
            url,
            headers,
            body,
        }
        .json()
        .await?,
        "/plaintext",
    )?)
}

/// An access token for these scopes.
pub async fn access_token(
    tokens: &Tokens,
    scope: &str,
    key: Option<&Path>,
) -> Result<Secret, String> {
    let name = format!("gcp {scope} {}", key.unwrap_or(Path::new("")).display());
    tokens
        .get(&name, fresh(Claim::Scope(scope), key))
        .await
        .map(Secret::new)
}

/// An ID token for this audience.
pub async fn id_token(
    tokens: &Tokens,
    audience: &str,
    key: Option<&Path>,
) -> Result<Secret, String> {
    let name = format!(
        "gcp-id {audience} {}",
        key.unwrap_or(Path::new("")).display()
    );
    tokens
        .get(&name, fresh(Claim::Audience(audience), key))
        .await
        .map(Secret::new)
}

async fn header(tokens: &Tokens) -> Result<(String, String), String> {
    let token = tokens.get("gcp", fresh(Claim::Scope(SCOPE), None)).await?;
    Ok(("authorization".into(), format!("Bearer {token}")))
}

/// What a token is to be good for.
#[derive(Clone, Copy)]
enum Claim<'a> {
    Scope(&'a str),
    Audience(&'a str),
}

async fn fresh(claim: Claim<'_>, key: Option<&Path>) -> Result<Fresh, String> {
    let path = match key {
        Some(path) => path.display().to_string(),
        None => match env::var("GOOGLE_APPLICATION_CREDENTIALS") {
            Some(path) => path,
            None => return from_metadata(claim).await,
        },
    };
    let file = tokio::fs::read(&path)
        .await
        .map_err(|error| format!("{path}: {error}"))?;
    let credentials: Value =
        serde_json::from_slice(&file).map_err(|_| format!("{path} is not JSON"))?;
    let at =
        |key: &str| text(&credentials, key).map_err(|_| format!("{path} has no `{}`", &key[1..]));
    let form = match (at("/type")?, claim) {
        ("service_account", _) => {
            let token_uri = at("/token_uri")?;
            let assertion = assertion(at("/client_email")?, at("/private_key")?, token_uri, claim)?;
            let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned();
            (
                token_uri.to_owned(),
                vec![("grant_type", grant), ("assertion", assertion)],
            )
        }
        ("authorized_user", Claim::Scope(_)) => {
            let form = [
                ("client_id", "/client_id"),
                ("client_secret", "/client_secret"),
                ("refresh_token", "/refresh_token"),
            ];
            let mut form = form
                .iter()
                .map(|(name, key)| Ok((*name, at(key)?.to_owned())))
                .collect::<Result<Vec<_>, String>>()?;
            form.push(("grant_type", "refresh_token".into()));
            let token_uri =
                text(&credentials, "/token_uri").unwrap_or("https://oauth2.googleapis.com/token");
            (token_uri.to_owned(), form)
        }
        ("authorized_user", Claim::Audience(_)) => {
            return Err(format!(
                "{path}: a person's credentials give no ID token for an audience: use a service account"
            ));
        }
        (other, _) => {
            return Err(format!(
                "{path}: credentials of type `{other}` cannot be used: service_account and authorized_user can"
            ));
        }
    };
    let (url, pairs) = form;
    of_answer(&Call::form(url, pairs).json().await?, claim)
}

fn of_answer(answer: &Value, claim: Claim<'_>) -> Result<Fresh, String> {
    let place = if let Claim::Scope(_) = claim {
        "/access_token"
    } else {
        "/id_token"
    };
    Ok(Fresh {
        token: text(answer, place)?.to_owned(),
        lasts: lasts(answer),
    })
}

/// How long the token of an answer is good for; an ID token lasts an hour.
pub fn lasts(answer: &Value) -> Duration {
    Duration::from_secs(
        answer
            .pointer("/expires_in")
            .and_then(Value::as_u64)
            .unwrap_or(3600),
    )
}

async fn from_metadata(claim: Claim<'_>) -> Result<Fresh, String> {
    let host = env::var("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".into());
    let base = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default");
    let encoded =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let get = |path: String| {
        let headers = vec![("metadata-flavor".into(), "Google".into())];
        Call {
            method: "GET",
            url: format!("{base}/{path}"),
            headers,
            body: Vec::new(),
        }
    };
    let answer = match claim {
        Claim::Scope(scope) => {
            let scopes = scope.split_whitespace().collect::<Vec<_>>().join(",");
            let path = if scope == SCOPE {
                "token".to_owned()
            } else {
                format!("token?scopes={}", encoded(&scopes))
            };
            get(path)
                .json()
                .await
                .and_then(|answer| of_answer(&answer, claim))
        }
        Claim::Audience(audience) => {
            let token = get(format!(
                "identity?audience={}&format=full",
                encoded(audience)
            ))
            .send()
            .await;
            token.map(|token| Fresh {
                token: String::from_utf8_lossy(&token).trim().to_owned(),
                lasts: ID_TOKEN_LASTS,
            })
        }
    };
    answer.map_err(|why| {
        format!("no credentials: GOOGLE_APPLICATION_CREDENTIALS is not set and there is no metadata server ({why})")
    })
}

/// A signed request for a token (RFC 7523).
fn assertion(
    email: &str,
    private_key: &str,
    audience: &str,
    claim: Claim<'_>,
) -> Result<String, String> {
    let now = Clock::System
        .now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut claims = json!({ "iss": email, "aud": audience, "iat": now, "exp": now + 3600 });
    match claim {
        Claim::Scope(scope) => claims["scope"] = scope.into(),
        Claim::Audience(wanted) => claims["target_audience"] = wanted.into(),
    }
    let signed = format!(
        "{}.{}",
        part(json!({ "alg": "RS256", "typ": "JWT" })),
        part(claims)
    );
    let unreadable = "the private key of the service account cannot be read";
    let inner = private_key.split("-----").nth(2).ok_or(unreadable)?;
    let der = STANDARD
        .decode(inner.split_whitespace().collect::<String>())
        .map_err(|_| unreadable)?;
    let pair = RsaKeyPair::from_pkcs8(&der).map_err(|_| unreadable)?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &ring::rand::SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .map_err(|_| unreadable)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn decoded(base64: &str) -> Result<Secret, String> {
    STANDARD
        .decode(base64)
        .map(Secret::new)
        .map_err(|_| "the answer holds broken base64".into())
}
