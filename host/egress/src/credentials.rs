//! The credentials that the operator adds to calls. The component that makes a call never sees
//! them, not even in a response that repeats them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use memchr::memmem;
use url::Url;

use super::call::Call;
use super::replace::replaced;
use super::standard_webhooks::{self, SignError};
use super::{oauth1, redact, segment, sigv4, untrusted};
use landfall_model::clock::to_ms;
use landfall_model::{
    Clock, Credential, CredentialKind, CredentialPart, CredentialText, OAuth1Spec, Secret,
    SecretError, SecretRef, SecretSource, SigV4Spec,
};

/// In this header a handler names the placeholder that the host replaces in the body of this call.
/// The header is not sent.
pub(crate) const PLACEHOLDER_HEADER: &str = "landfall-placeholder";

/// Shorter segments of a secret path occur in other texts by chance and are not removed on their own.
const SEGMENT_BYTES_MIN: usize = 8;

/// The credentials of one hook.
#[derive(Clone)]
pub(crate) struct Credentials {
    list: Vec<Credential>,
    secrets: Arc<dyn SecretSource>,
    /// Signatures contain the time.
    clock: Clock,
}

/// Why credentials could not be added. The call is not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    /// A secret has no value now.
    #[error("a credential has no value: {0}")]
    NoSecret(#[from] SecretError),
    /// A credential does not fit the call.
    #[error("a credential cannot be used: {0}")]
    Unusable(String),
}

/// The credential that could not be added, and why.
#[derive(Debug, thiserror::Error)]
#[error("`[[credentials]]` with {place}: {error}")]
pub(crate) struct NotAdded {
    place: String,
    error: CredentialError,
}

/// The secrets that were sent with a call and must not return with its response.
#[derive(Default)]
pub(crate) struct Added {
    secrets: Vec<(SecretRef, Secret)>,
    /// Segments of secrets in the path, which a server may repeat without the others.
    segments: Vec<Secret>,
}

// === impl CredentialError ===

impl CredentialError {
    fn of(self, kind: &CredentialKind) -> NotAdded {
        NotAdded {
            place: kind.place(),
            error: self,
        }
    }
}

impl From<SignError> for CredentialError {
    fn from(error: SignError) -> CredentialError {
        CredentialError::Unusable(error.to_string())
    }
}

// === impl Credentials ===

impl Credentials {
    pub(crate) fn new(
        list: Vec<Credential>,
        secrets: Arc<dyn SecretSource>,
        clock: Clock,
    ) -> Credentials {
        Credentials {
            list,
            secrets,
            clock,
        }
    }

    /// Adds the credentials for the URL of the call, and replaces what the component wrote in their
    /// place. Signatures are added last.
    pub(crate) fn add(&self, call: &mut Call<'_>) -> Result<Added, NotAdded> {
        let mut added = Added::default();
        let marked = take_marks(call.headers);
        let called = &*call.url;
        let (signing, plain): (Vec<_>, Vec<_>) = self
            .list
            .iter()
            .filter(|credential| credential.target.covers(called))
            .map(|credential| &credential.kind)
            .partition(|kind| is_signature(kind));
        if signing.is_empty() && plain.is_empty() {
            return Ok(added);
        }

        // Secrets cannot be found in a compressed response.
        let identity = HeaderValue::from_static("identity");
        call.headers.insert(header::ACCEPT_ENCODING, identity);
        for (at, kind) in plain.iter().enumerate() {
            // The last entry for a place wins: it would not find what an earlier one has replaced.
            let is_last = plain[at + 1..]
                .iter()
                .all(|later| later.place() != kind.place());
            if is_last {
                self.put(kind, &marked, call, &mut added)
                    .map_err(|error| error.of(kind))?;
            }
        }

        for kind in signing {
            self.sign(kind, call, &mut added)
                .map_err(|error| error.of(kind))?;
        }

        Ok(added)
    }

    /// Reports that the called server rejected these credentials.
    pub(crate) fn report_rejected(&self, added: &Added) {
        for reference in added.references() {
            self.secrets.report_rejected(reference);
        }
    }

    /// Puts a secret into a header, the query, the path or the body.
    fn put(
        &self,
        kind: &CredentialKind,
        marked: &[String],
        call: &mut Call<'_>,
        added: &mut Added,
    ) -> Result<(), CredentialError> {
        match kind {
            CredentialKind::Header(name, text) => {
                let value = self.joined(text, added)?;
                set(call.headers, name.clone(), value.expose())
            }
            CredentialKind::Query(name, text) => {
                let value = self.joined(text, added)?;
                set_query(call.url, name, &String::from_utf8_lossy(value.expose()));
                Ok(())
            }
            CredentialKind::Path(placeholder, text) if segment::is_in(call.url, placeholder) => {
                let first = added.secrets.len();
                let value = self.joined(text, added)?;
                added.add_segments(first);
                segment::replace(call.url, placeholder, value.expose())
                    .map_err(|error| CredentialError::Unusable(error.to_string()))
            }
            CredentialKind::Body(placeholder, text) if marked.contains(placeholder) => {
                check_placeholder(placeholder, call)?;
                let value = self.joined(text, added)?;
                let placeholder = placeholder.as_bytes();
                *call.body = if is_json(call.headers) {
                    replaced(call.body, placeholder, &json_escaped(value.expose()))
                } else {
                    replaced(call.body, placeholder, value.expose())
                };
                Ok(())
            }
            // Placeholders that the handler did not name; and signatures, which are added later.
            CredentialKind::Path(..)
            | CredentialKind::Body(..)
            | CredentialKind::OAuth1(_)
            | CredentialKind::AwsSigV4(_)
            | CredentialKind::StandardWebhooks(_) => Ok(()),
        }
    }

    /// Signs the call.
    fn sign(
        &self,
        kind: &CredentialKind,
        call: &mut Call<'_>,
        added: &mut Added,
    ) -> Result<(), CredentialError> {
        match kind {
            CredentialKind::OAuth1(spec) => self.sign_oauth1(spec, call, added),
            CredentialKind::AwsSigV4(spec) => self.sign_sigv4(spec, call, added),
            CredentialKind::StandardWebhooks(reference) => {
                self.sign_standard_webhooks(reference, call, added)
            }
            CredentialKind::Header(..)
            | CredentialKind::Query(..)
            | CredentialKind::Path(..)
            | CredentialKind::Body(..) => Ok(()),
        }
    }

    fn sign_oauth1(
        &self,
        spec: &OAuth1Spec,
        call: &mut Call<'_>,
        added: &mut Added,
    ) -> Result<(), CredentialError> {
        let keys = oauth1::Keys {
            consumer_key: self.text(&spec.consumer_key, added)?,
            consumer_secret: self.text(&spec.consumer_secret, added)?,
            token: self.text(&spec.token, added)?,
            token_secret: self.text(&spec.token_secret, added)?,
        };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|error| CredentialError::Unusable(error.to_string()))?;

        let header = oauth1::header(&keys, call, &hex::encode(nonce), self.seconds_now());
        set(call.headers, header::AUTHORIZATION, header.as_bytes())
    }

    fn sign_sigv4(
        &self,
        spec: &SigV4Spec,
        call: &mut Call<'_>,
        added: &mut Added,
    ) -> Result<(), CredentialError> {
        let session = match &spec.session_token {
            Some(reference) => Some(self.text(reference, added)?),
            None => None,
        };

        let signer = sigv4::Signer {
            keys: sigv4::Keys {
                id: self.text(&spec.access_key, added)?,
                secret: self.text(&spec.secret_key, added)?,
                session,
            },
            region: &spec.region,
            service: &spec.service,
            now: self.clock.now(),
        };
        for (name, value) in signer.headers(call) {
            set(
                call.headers,
                HeaderName::from_static(name),
                value.as_bytes(),
            )?;
        }

        Ok(())
    }

    fn sign_standard_webhooks(
        &self,
        reference: &SecretRef,
        call: &mut Call<'_>,
        added: &mut Added,
    ) -> Result<(), CredentialError> {
        let secret = self.text(reference, added)?;
        let id = call
            .headers
            .get("idempotency-key")
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        let headers = standard_webhooks::headers(&secret, id, self.seconds_now(), &call.body[..])?;
        for (name, value) in headers {
            set(
                call.headers,
                HeaderName::from_static(name),
                value.as_bytes(),
            )?;
        }

        Ok(())
    }

    fn seconds_now(&self) -> i64 {
        to_ms(self.clock.now()) / 1000
    }

    fn text(&self, reference: &SecretRef, added: &mut Added) -> Result<String, CredentialError> {
        let secret = self.value(reference, added)?;
        String::from_utf8(secret.expose().to_vec())
            .map_err(|_| CredentialError::Unusable(format!("`{reference}` is not text")))
    }

    fn joined(&self, text: &CredentialText, added: &mut Added) -> Result<Secret, CredentialError> {
        let mut bytes = Vec::new();
        for part in text {
            match part {
                CredentialPart::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                CredentialPart::Secret(reference) => {
                    bytes.extend_from_slice(self.value(reference, added)?.expose());
                }
            }
        }

        Ok(Secret::new(bytes))
    }

    fn value(&self, reference: &SecretRef, added: &mut Added) -> Result<Secret, CredentialError> {
        let secret = self.secrets.value(reference)?;
        added.secrets.push((reference.clone(), secret.clone()));
        Ok(secret)
    }
}

// === impl Added ===

impl Added {
    #[cfg(test)]
    pub(crate) fn of(secrets: &[&str]) -> Added {
        let reference = SecretRef::Env("TEST".into());
        Added {
            secrets: secrets
                .iter()
                .map(|secret| (reference.clone(), Secret::new(*secret)))
                .collect(),
            segments: Vec::new(),
        }
    }

    /// Whether no secret was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = &SecretRef> {
        self.secrets.iter().map(|(reference, _)| reference)
    }

    /// Adds the segments of the secrets from the one at `first` on.
    fn add_segments(&mut self, first: usize) {
        let segments = self.secrets[first..]
            .iter()
            .flat_map(|(_, secret)| secret.expose().split(|byte| *byte == b'/'))
            .filter(|segment| segment.len() >= SEGMENT_BYTES_MIN)
            .map(Secret::new);
        self.segments.extend(segments);
        let without_slash = self.secrets[first..]
            .iter()
            .filter_map(|(_, secret)| secret.expose().strip_prefix(b"/"))
            .map(Secret::new);
        self.segments.extend(without_slash);
    }

    /// Removes the secrets from a response.
    pub(crate) fn redact(&self, headers: &mut HeaderMap, body: &mut Bytes) {
        let whole = self.secrets.iter().map(|(_, secret)| secret);
        let secrets: Vec<&[u8]> = whole.chain(&self.segments).map(Secret::expose).collect();
        redact::answer(&secrets, headers, body);
    }
}

fn is_signature(kind: &CredentialKind) -> bool {
    matches!(
        kind,
        CredentialKind::OAuth1(_)
            | CredentialKind::AwsSigV4(_)
            | CredentialKind::StandardWebhooks(_)
    )
}

/// Refuses a placeholder that the sender of the event may have written.
fn check_placeholder(placeholder: &str, call: &Call<'_>) -> Result<(), CredentialError> {
    let is_in_event = call
        .untrusted
        .is_some_and(|event| untrusted::wrote(event, placeholder));
    if is_in_event {
        let why = "the event itself holds the placeholder";
        return Err(CredentialError::Unusable(why.into()));
    }

    // The handler writes it once. A second one came from elsewhere.
    let mut places = memmem::find_iter(&call.body[..], placeholder.as_bytes());
    if places.nth(1).is_some() {
        let why = "the placeholder occurs more than once in the body";
        return Err(CredentialError::Unusable(why.into()));
    }

    Ok(())
}

/// Sets a parameter of the query, and removes others of that name.
fn set_query(url: &mut Url, name: &str, value: &str) {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair(name, value);
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) -> Result<(), CredentialError> {
    let Ok(mut value) = HeaderValue::from_bytes(value) else {
        let why = format!("its value is not one of header `{name}`");
        return Err(CredentialError::Unusable(why));
    };

    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// Removes the placeholder headers. Each names one placeholder.
fn take_marks(headers: &mut HeaderMap) -> Vec<String> {
    if !headers.contains_key(PLACEHOLDER_HEADER) {
        return Vec::new();
    }

    let marks = headers
        .get_all(PLACEHOLDER_HEADER)
        .iter()
        .map(|mark| String::from_utf8_lossy(mark.as_bytes()).into_owned())
        .collect();
    headers.remove(PLACEHOLDER_HEADER);
    marks
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    content_type
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().to_ascii_lowercase().ends_with("json"))
}

/// A text as it is written between the quotes of a JSON string.
fn json_escaped(bytes: &[u8]) -> Vec<u8> {
    let quoted = serde_json::Value::from(String::from_utf8_lossy(bytes)).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}
