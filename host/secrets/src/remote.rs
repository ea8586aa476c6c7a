//! Secrets that live elsewhere: the reference says where, the environment says who we are. Every call goes out through
//! `egress`, has a deadline, and follows no redirect.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::tokens::{Fresh, Tokens};
use super::{Secrets, aws, gcp, vault};
use landfall_config::env;
use landfall_egress::{Client, Outgoing, Policy};
use landfall_model::{RemoteSecret, Secret, SecretRef};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The ways to every kind of source.
#[derive(Default)]
pub struct Remote {
    tokens: Tokens,
    vault: vault::Login,
}

/// One call.
pub struct Call<'a> {
    pub method: &'a str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

// === impl Remote ===

impl Remote {
    /// The present value. The error is a sentence without it.
    pub async fn fetch(&self, reference: &RemoteSecret) -> Result<Secret, String> {
        match reference {
            RemoteSecret::GcpSecret { name } => gcp::secret(&self.tokens, name).await,
            RemoteSecret::GcpKms { key, path } => gcp::decrypted(&self.tokens, key, path).await,
            RemoteSecret::Vault { mount, path, field } => {
                vault::secret(&self.vault, mount, path, field).await
            }
            RemoteSecret::AwsSecret { id, field } => aws::secret(id, field.as_deref()).await,
            RemoteSecret::GcpToken { scope, key } => {
                gcp::access_token(&self.tokens, scope, key.as_deref()).await
            }
            RemoteSecret::GcpIdToken { audience, key } => {
                gcp::id_token(&self.tokens, audience, key.as_deref()).await
            }
            RemoteSecret::OAuth2Client {
                token_url,
                client_id,
                client_secret,
                scope,
            } => {
                let secret = match &**client_secret {
                    SecretRef::Remote(inner) => Box::pin(self.fetch(inner)).await?,
                    here => Secrets::default()
                        .read(here)
                        .map_err(|error| error.to_string())?,
                };
                // Another secret is another client.
                let digest = hex::encode(Sha256::digest(secret.expose()));
                let name = format!(
                    "oauth2 {token_url} {client_id} {digest} {}",
                    scope.as_deref().unwrap_or_default()
                );
                let ask = by_client(token_url, client_id, &secret, scope.as_deref());
                self.tokens.get(&name, ask).await.map(Secret::new)
            }
        }
    }

    /// A token that was refused.
    pub fn forget(&self, token: &Secret) {
        self.tokens.forget(token.expose());
    }
}

/// Client credentials (RFC 6749 section 4.4), the client known by basic authentication (section 2.3.1).
async fn by_client(
    url: &str,
    id: &str,
    secret: &Secret,
    scope: Option<&str>,
) -> Result<Fresh, String> {
    let encoded = |bytes: &[u8]| url::form_urlencoded::byte_serialize(bytes).collect::<String>();
    let basic = STANDARD.encode(format!(
        "{}:{}",
        encoded(id.as_bytes()),
        encoded(secret.expose())
    ));
    let grant = ("grant_type", "client_credentials".to_owned());
    let pairs = std::iter::once(grant)
        .chain(scope.map(|scope| ("scope", scope.to_owned())))
        .collect();
    let mut call = Call::form(url.to_owned(), pairs);
    call.headers
        .push(("authorization".into(), format!("Basic {basic}")));
    let answer = call.json().await?;
    Ok(Fresh {
        token: text(&answer, "/access_token")?.to_owned(),
        lasts: gcp::lasts(&answer),
    })
}

// === impl Call ===

impl Call<'_> {
    /// A form, as token servers want it.
    pub fn form(url: String, pairs: Vec<(&str, String)>) -> Call<'static> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
            .into_bytes();
        let headers = vec![(
            "content-type".into(),
            "application/x-www-form-urlencoded".into(),
        )];
        Call {
            method: "POST",
            url,
            headers,
            body,
        }
    }

    /// The body of a successful answer.
    pub async fn send(self) -> Result<Bytes, String> {
        let shown = self.url.split('?').next().unwrap_or_default().to_owned();
        let http = vec![
            shown
                .parse()
                .map_err(|why: String| format!("cannot be called: {why}"))?,
        ];
        // Whom the operator named may be anywhere: a metadata server and a Vault are inside.
        let policy = Policy::anywhere(http);
        let client = Client::new(policy, Vec::new(), Arc::new(Secrets::default()));
        let outgoing = Outgoing {
            method: self.method.into(),
            url: self.url,
            headers: self.headers,
            body: self.body.into(),
            timeout: TIMEOUT,
            untrusted: None,
            memory: None,
        };
        let received = client
            .send_own(outgoing)
            .await
            .map_err(|error| format!("{shown}: {error}"))?;
        match received.status {
            200..=299 => Ok(received.body),
            // The answer may repeat what was sent: only its status is told.
            status => Err(format!("{shown} answers {status}{}", meaning(status))),
        }
    }

    /// The same, as JSON.
    pub async fn json(self) -> Result<Value, String> {
        let shown = self.url.split('?').next().unwrap_or_default().to_owned();
        serde_json::from_slice(&self.send().await?)
            .map_err(|_| format!("{shown} answers what is not JSON"))
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 | 404 => ": is the name right?",
        401 | 403 => ": may this identity read it?",
        _ => "",
    }
}

/// A variable that must be set; `purpose` says what for.
pub fn needed(name: &str, purpose: &str) -> Result<String, String> {
    env::var(name).ok_or_else(|| format!("environment variable {name} is not set: {purpose}"))
}

/// A string in an answer.
pub fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str, String> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("the answer has no `{pointer}`"))
}
