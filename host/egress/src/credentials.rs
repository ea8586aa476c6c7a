//! What the operator wants on calls to a URL; the component that makes the call never sees it, not even in an answer that
//! repeats it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method, header};
use sha2::Sha256;
use url::Url;

use super::{oauth1, redact, sigv4, untrusted};
use landfall_model::clock::to_ms;
use landfall_model::{
    Clock, Credential, CredentialKind, CredentialPart, CredentialText, Event, Secret, SecretError,
    SecretRef, SecretSource,
};

/// A handler names in this header the placeholder that the host is to replace in the body of this call. It is not sent.
pub const PLACEHOLDER_HEADER: &str = "landfall-placeholder";

/// The credentials of one hook.
#[derive(Clone)]
pub struct Credentials {
    list: Vec<Credential>,
    secrets: Arc<dyn SecretSource>,
}

/// A call on its way out.
pub struct Call<'a> {
    /// By which method.
    pub method: &'a Method,
    /// Whereto.
    pub url: &'a mut Url,
    /// Checked.
    pub headers: &'a mut HeaderMap,
    /// Whole.
    pub body: &'a mut Bytes,
    /// What a sender wrote: no placeholder is replaced where one stands in it.
    pub untrusted: Option<&'a Event>,
}

/// Why a call goes out without, that is, not at all.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// No value now.
    #[error("a credential has no value: {0}")]
    NoSecret(#[from] SecretError),
    /// It cannot be put where it belongs.
    #[error("a credential cannot be used: {0}")]
    Unusable(String),
}

/// Secrets that went out with a call and must not come back with its answer.
#[derive(Default)]
pub struct Added(Vec<(SecretRef, Secret)>);

// === impl Credentials ===

impl Credentials {
    pub fn new(list: Vec<Credential>, secrets: Arc<dyn SecretSource>) -> Credentials {
        Credentials { list, secrets }
    }

    /// Adds what is meant for this URL, over whatever the component wrote there; what signs the call comes last.
    pub fn add(&self, call: &mut Call<'_>) -> Result<Added, CredentialError> {
        let mut added = Added::default();
        let marked = take_marks(call.headers);
        let called = call.url.clone();
        let meant = || {
            self.list
                .iter()
                .filter(|credential| credential.target.covers(&called))
        };
        if meant().next().is_some() {
            // In a compressed answer nothing would be found.
            call.headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            );
        }
        let signs = |kind: &CredentialKind| {
            matches!(
                kind,
                CredentialKind::OAuth1(_)
                    | CredentialKind::AwsSigV4(_)
                    | CredentialKind::StandardWebhooks(_)
            )
        };
        for credential in meant().filter(|credential| !signs(&credential.kind)) {
            let is_marked = match &credential.kind {
                CredentialKind::Body(placeholder, _) => {
                    marked.iter().any(|mark| mark == placeholder)
                }
                _ => true,
            };
            if is_marked {
                self.put(&credential.kind, call, &mut added)?;
            }
        }
        for credential in meant().filter(|credential| signs(&credential.kind)) {
            self.sign(&credential.kind, call, &mut added)?;
        }
        Ok(added)
    }

    /// Reports that the called server rejected these credentials.
    pub fn report_rejected(&self, added: &Added) {
        for reference in added.references() {
            self.secrets.report_rejected(reference);
        }
    }

    fn put(
        &self,
        kind: &CredentialKind,
        call: &mut Call<'_>,
        added: &mut Added,
    ) -> Result<(), CredentialError> {
        match kind {
            CredentialKind::Header(name, text) => {
                let value = self.joined(text, added)?;
                let unusable = |_| {
                    CredentialError::Unusable(format!("its value is not one of header `{name}`"))
                };
                let mut value = HeaderValue::from_bytes(value.expose()).map_err(unusable)?;
                value.set_sensitive(true);
                call.headers.insert(name.clone(), value);
            }
            CredentialKind::Query(name, text) => {
                let value = self.joined(text, added)?;
                let others: Vec<(String, String)> = call
                    .url
                    .query_pairs()
                    .filter(|(key, _)| key != name)
                    .map(|(k, v)| (k.into(), v.into()))
                    .collect();
                let value = String::from_utf8_lossy(value.expose());
                call.url
                    .query_pairs_mut()
                    .clear()
                    .extend_pairs(others)
                    .append_pair(name, &value);
            }
            CredentialKind::Body(placeholder, text) => {
                if call
                    .untrusted
                    .is_some_and(|event| untrusted::wrote(event, placeholder))
                {
                    return Err(CredentialError::Unusable(
                        "the event itself holds the placeholder".into(),
                    ));
                }
                // Whatever a sender has smuggled past that stands beside the one that the handler wrote.
                if memchr::memmem::find_iter(call.body, placeholder.as_bytes())
                    .nth(1)
                    .is_some()
                {
                    return Err(CredentialError::Unusable(
                        "the placeholder stands in the body more than once".into(),
                    ));
                }
                let value = self.joined(text, added)?;
                let escaped = json_escaped(value.expose());
                let fitting = if is_json(call.headers) {
                    &escaped[..]
                } else {
                    value.expose()
                };
                *call.body = replaced(call.body, placeholder.as_bytes(), fitting);
            }
            CredentialKind::OAuth1(_)
            | CredentialKind::AwsSigV4(_)
            | CredentialKind::StandardWebhooks(_) => {}
        }
        Ok(())
    }

    fn sign(
        &self,
        kind: &CredentialKind,
        call: &mut Call<'_>,
        added: &mut Added,
    ) -> Result<(), CredentialError> {
        let now = Clock::System.now();
        match kind {
            CredentialKind::OAuth1(spec) => {
                let keys = oauth1::Keys {
                    consumer_key: self.text(&spec.consumer_key, added)?,
                    consumer_secret: self.text(&spec.consumer_secret, added)?,
                    token: self.text(&spec.token, added)?,
                    token_secret: self.text(&spec.token_secret, added)?,
                };
                let mut nonce = [0; 16];
                getrandom::fill(&mut nonce)
                    .map_err(|error| CredentialError::Unusable(error.to_string()))?;
                let header = oauth1::header(&keys, call, &hex::encode(nonce), to_ms(now) / 1000);
                set(call.headers, "authorization", &header)
            }
            CredentialKind::AwsSigV4(spec) => {
                let keys = sigv4::Keys {
                    id: self.text(&spec.access_key, added)?,
                    secret: self.text(&spec.secret_key, added)?,
                    session: spec
                        .session_token
                        .as_ref()
                        .map(|reference| self.text(reference, added))
                        .transpose()?,
                };
                let signer = sigv4::Signer {
                    keys,
                    region: &spec.region,
                    service: &spec.service,
                    now,
                };
                signer
                    .headers(call)
                    .into_iter()
                    .try_for_each(|(name, value)| set(call.headers, name, &value))
            }
            CredentialKind::StandardWebhooks(reference) => {
                let secret = self.text(reference, added)?;
                let encoded = secret.strip_prefix("whsec_").unwrap_or(&secret);
                let wrong = |_| {
                    CredentialError::Unusable(
                        "the secret of standard_webhooks is `whsec_` and base64".into(),
                    )
                };
                let key = STANDARD.decode(encoded).map_err(wrong)?;
                let id = call
                    .headers
                    .get("idempotency-key")
                    .and_then(|id| id.to_str().ok())
                    .unwrap_or_default();
                // A dot ends the id in the signed text: with one inside, another id and time would have the same signature.
                if id.contains('.') {
                    let why = "the Idempotency-Key becomes the webhook-id of standard_webhooks, which must not contain `.`";
                    return Err(CredentialError::Unusable(why.into()));
                }
                let (id, at) = (id.to_owned(), (to_ms(now) / 1000).to_string());
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
                [id.as_bytes(), b".", at.as_bytes(), b".", &call.body[..]]
                    .iter()
                    .for_each(|part| mac.update(part));
                let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
                let headers = [
                    ("webhook-id", id),
                    ("webhook-timestamp", at),
                    ("webhook-signature", signature),
                ];
                headers
                    .iter()
                    .try_for_each(|(name, value)| set(call.headers, name, value))
            }
            CredentialKind::Header(..) | CredentialKind::Query(..) | CredentialKind::Body(..) => {
                Ok(())
            }
        }
    }

    fn text(&self, reference: &SecretRef, added: &mut Added) -> Result<String, CredentialError> {
        let secret = self.value(reference, added)?;
        let wrong = |_| CredentialError::Unusable(format!("`{reference}` is not text"));
        String::from_utf8(secret.expose().to_vec()).map_err(wrong)
    }

    fn joined(&self, text: &CredentialText, added: &mut Added) -> Result<Secret, CredentialError> {
        let mut bytes = Vec::new();
        for part in text {
            match part {
                CredentialPart::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                CredentialPart::Secret(reference) => {
                    bytes.extend_from_slice(self.value(reference, added)?.expose())
                }
            }
        }
        Ok(Secret::new(bytes))
    }

    fn value(&self, reference: &SecretRef, added: &mut Added) -> Result<Secret, CredentialError> {
        let secret = self.secrets.value(reference)?;
        added.0.push((reference.clone(), secret.clone()));
        Ok(secret)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    kind.split(';')
        .next()
        .is_some_and(|kind| kind.trim().to_ascii_lowercase().ends_with("json"))
}

/// As it stands between the quotes of a JSON string.
pub(super) fn json_escaped(bytes: &[u8]) -> Vec<u8> {
    let quoted = serde_json::Value::from(String::from_utf8_lossy(bytes)).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), CredentialError> {
    let unusable =
        |_| CredentialError::Unusable(format!("its value is not one of header `{name}`"));
    let mut value = HeaderValue::from_str(value).map_err(unusable)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// One placeholder in each header of the name.
fn take_marks(headers: &mut HeaderMap) -> Vec<String> {
    let marks = headers.get_all(PLACEHOLDER_HEADER).iter();
    let marks = marks
        .map(|mark| String::from_utf8_lossy(mark.as_bytes()).into_owned())
        .collect();
    headers.remove(PLACEHOLDER_HEADER);
    marks
}

// === impl Added ===

impl Added {
    #[cfg(test)]
    pub fn of(secrets: &[&str]) -> Added {
        let reference = SecretRef::Env("TEST".into());
        Added(
            secrets
                .iter()
                .map(|secret| (reference.clone(), Secret::new(*secret)))
                .collect(),
        )
    }

    /// Whether the call went out as the component wrote it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they are the values of.
    pub fn references(&self) -> impl Iterator<Item = &SecretRef> {
        self.0.iter().map(|(reference, _)| reference)
    }

    /// The same answer without them.
    pub fn redact(&self, headers: &mut HeaderMap, body: &mut Bytes) {
        let secrets: Vec<&[u8]> = self.0.iter().map(|(_, secret)| secret.expose()).collect();
        redact::answer(&secrets, headers, body);
    }
}

/// `body` with `new` wherever `old` was; the same bytes where it was nowhere.
pub(super) fn replaced(body: &Bytes, old: &[u8], new: &[u8]) -> Bytes {
    let mut places = memchr::memmem::find_iter(body, old).peekable();
    if places.peek().is_none() {
        return body.clone();
    }
    let (mut made, mut from) = (Vec::with_capacity(body.len()), 0);
    for at in places {
        made.extend_from_slice(&body[from..at]);
        made.extend_from_slice(new);
        from = at + old.len();
    }
    made.extend_from_slice(&body[from..]);
    made.into()
}
