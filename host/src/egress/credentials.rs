//! What the operator wants on calls to a URL; the component that makes the call never sees it, not even in an answer that
//! repeats it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use sha2::Sha256;
use url::Url;

use super::{oauth1, sigv4};
use crate::model::clock::to_ms;
use crate::model::{
    Clock, Credential, CredentialKind, CredentialPart, CredentialText, Secret, SecretError, SecretRef, SecretSource,
};

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
    /// What a sender wrote: no placeholder is looked for where one stands in it.
    pub untrusted: &'a [u8],
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

/// Shorter ones are found everywhere by chance.
const REDACTED_MIN: usize = 4;
/// Shorter ones leave too few characters of their own within something larger.
const INNER_MIN: usize = 8;
/// RFC 3986: what stays as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const REDACTED: &[u8] = b"[redacted]";

// === impl Credentials ===

impl Credentials {
    pub fn new(list: Vec<Credential>, secrets: Arc<dyn SecretSource>) -> Credentials {
        Credentials { list, secrets }
    }

    /// Adds what is meant for this URL, over whatever the component wrote there; what signs the call comes last.
    pub fn add(&self, call: &mut Call<'_>) -> Result<Added, CredentialError> {
        let mut added = Added::default();
        let called = call.url.clone();
        let meant = || self.list.iter().filter(|credential| credential.target.covers(&called));
        if meant().next().is_some() {
            // In a compressed answer nothing would be found.
            call.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let signs = |kind: &CredentialKind| {
            matches!(
                kind,
                CredentialKind::OAuth1(_) | CredentialKind::AwsSigV4(_) | CredentialKind::StandardWebhooks(_)
            )
        };
        for credential in meant().filter(|credential| !signs(&credential.kind)) {
            self.put(&credential.kind, call, &mut added)?;
        }
        for credential in meant().filter(|credential| signs(&credential.kind)) {
            self.sign(&credential.kind, call, &mut added)?;
        }
        Ok(added)
    }

    /// Whoever was called did not accept them.
    pub fn refused(&self, added: &Added) {
        added.references().for_each(|reference| self.secrets.refused(reference));
    }

    fn put(&self, kind: &CredentialKind, call: &mut Call<'_>, added: &mut Added) -> Result<(), CredentialError> {
        match kind {
            CredentialKind::Header(name, text) => {
                let value = self.joined(text, added)?;
                let unusable = |_| CredentialError::Unusable(format!("its value is not one of header `{name}`"));
                let mut value = HeaderValue::from_bytes(value.expose()).map_err(unusable)?;
                value.set_sensitive(true);
                call.headers.insert(name.clone(), value);
            }
            CredentialKind::Query(name, text) => {
                let value = self.joined(text, added)?;
                let others: Vec<(String, String)> =
                    call.url.query_pairs().filter(|(key, _)| key != name).map(|(k, v)| (k.into(), v.into())).collect();
                let value = String::from_utf8_lossy(value.expose());
                call.url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, &value);
            }
            CredentialKind::Body(placeholder, text) => {
                if memchr::memmem::find(call.untrusted, placeholder.as_bytes()).is_some() {
                    return Err(CredentialError::Unusable("the event itself holds the placeholder".into()));
                }
                let value = self.joined(text, added)?;
                let escaped = json_escaped(value.expose());
                let fitting = if is_json(call.headers) { &escaped[..] } else { value.expose() };
                *call.body = replaced(call.body, placeholder.as_bytes(), fitting);
            }
            CredentialKind::OAuth1(_) | CredentialKind::AwsSigV4(_) | CredentialKind::StandardWebhooks(_) => {}
        }
        Ok(())
    }

    fn sign(&self, kind: &CredentialKind, call: &mut Call<'_>, added: &mut Added) -> Result<(), CredentialError> {
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
                getrandom::fill(&mut nonce).map_err(|error| CredentialError::Unusable(error.to_string()))?;
                let header = oauth1::header(&keys, call, &hex::encode(nonce), to_ms(now) / 1000);
                set(call.headers, "authorization", &header)
            }
            CredentialKind::AwsSigV4(spec) => {
                let keys = sigv4::Keys {
                    id: self.text(&spec.access_key, added)?,
                    secret: self.text(&spec.secret_key, added)?,
                    session: spec.session_token.as_ref().map(|reference| self.text(reference, added)).transpose()?,
                };
                let signer = sigv4::Signer { keys, region: &spec.region, service: &spec.service, now };
                signer.headers(call).into_iter().try_for_each(|(name, value)| set(call.headers, name, &value))
            }
            CredentialKind::StandardWebhooks(reference) => {
                let secret = self.text(reference, added)?;
                let encoded = secret.strip_prefix("whsec_").unwrap_or(&secret);
                let wrong =
                    |_| CredentialError::Unusable("the secret of standard_webhooks is `whsec_` and base64".into());
                let key = STANDARD.decode(encoded).map_err(wrong)?;
                let id = call.headers.get("idempotency-key").and_then(|id| id.to_str().ok()).unwrap_or_default();
                let (id, at) = (id.to_owned(), (to_ms(now) / 1000).to_string());
                let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
                [id.as_bytes(), b".", at.as_bytes(), b".", &call.body[..]].iter().for_each(|part| mac.update(part));
                let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
                let headers = [("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signature)];
                headers.iter().try_for_each(|(name, value)| set(call.headers, name, value))
            }
            CredentialKind::Header(..) | CredentialKind::Query(..) | CredentialKind::Body(..) => Ok(()),
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
                CredentialPart::Secret(reference) => bytes.extend_from_slice(self.value(reference, added)?.expose()),
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
    let kind = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().ends_with("json"))
}

/// As it stands between the quotes of a JSON string.
fn json_escaped(bytes: &[u8]) -> Vec<u8> {
    let quoted = serde_json::Value::from(String::from_utf8_lossy(bytes)).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

/// `%2F` as `%2f`.
fn lower_hex(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_at_checked(2) {
        Some((hex, rest)) => format!("{text}%{}{rest}", hex.to_ascii_lowercase()),
        None => format!("{text}%{part}"),
    })
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), CredentialError> {
    let unusable = |_| CredentialError::Unusable(format!("its value is not one of header `{name}`"));
    let mut value = HeaderValue::from_str(value).map_err(unusable)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

// === impl Added ===

impl Added {
    #[cfg(test)]
    pub fn of(secrets: &[&str]) -> Added {
        let reference = SecretRef::Env("TEST".into());
        Added(secrets.iter().map(|secret| (reference.clone(), Secret::new(*secret))).collect())
    }

    /// What they are the values of.
    pub fn references(&self) -> impl Iterator<Item = &SecretRef> {
        self.0.iter().map(|(reference, _)| reference)
    }

    /// The same answer without them.
    pub fn redact(&self, headers: &mut HeaderMap, body: &mut Bytes) {
        let secrets = self.0.iter().map(|(_, secret)| secret.expose());
        for form in secrets.filter(|secret| secret.len() >= REDACTED_MIN).flat_map(forms) {
            *body = replaced(body, &form, REDACTED);
            for value in headers.values_mut() {
                let clean = replaced(&Bytes::copy_from_slice(value.as_bytes()), &form, REDACTED);
                if clean != value.as_bytes() {
                    *value = HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static("[redacted]"));
                }
            }
        }
    }
}

/// How a secret may come back: as it is, quoted, percent-encoded, in hex, and in base64, also within something larger.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let percent = percent_encoding::percent_encode(secret, ENCODED).to_string();
    let form: String = url::form_urlencoded::byte_serialize(secret).collect();
    let (lower, hex) = (lower_hex(&percent), hex::encode(secret));
    let texts = [STANDARD.encode(secret), percent, lower, form, hex.to_uppercase(), hex];
    let mut forms: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    forms.extend([secret.to_vec(), json_escaped(secret)]);
    if secret.len() >= INNER_MIN {
        forms.extend((0..3).flat_map(|offset| inner_base64(secret, offset)));
    }
    forms
}

/// What base64 (and its form for URLs) makes of a secret behind `offset` other bytes, without the characters in which others share.
fn inner_base64(secret: &[u8], offset: usize) -> [Vec<u8>; 2] {
    let padded = [&[0; 3][..offset], secret].concat();
    // Whole groups of three alone; of the first, what is the secret's own.
    let whole = &padded[..padded.len() / 3 * 3];
    let skipped = [0, 2, 3][offset];
    [STANDARD.encode(whole), URL_SAFE.encode(whole)].map(|text| text.as_bytes()[skipped..].to_vec())
}

/// `body` with `new` wherever `old` was; the same bytes where it was nowhere.
fn replaced(body: &Bytes, old: &[u8], new: &[u8]) -> Bytes {
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
