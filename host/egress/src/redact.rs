//! Removes secrets from responses, in the forms in which a server may repeat them.

use std::cmp::Reverse;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

use super::replace::replaced;
use super::spelling::{SPELLINGS, Spelling, contains_any, decode};

/// Shorter secrets occur everywhere by chance and are not searched.
pub(crate) const SECRET_MIN: usize = 4;
/// Shorter secrets have too few characters of their own within the base64 of a larger text.
const INNER_MIN: usize = 8;
pub(crate) const REDACTED: &str = "[redacted]";

/// One form of a secret that is searched.
pub(crate) struct Form {
    bytes: Vec<u8>,
    /// Whether this is the secret itself, which is also searched in other spellings.
    is_plain: bool,
}

// === impl Form ===

impl Form {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Removes the secrets from a response. Longer forms go first, so that no rest of a longer secret
/// remains.
pub(crate) fn answer(secrets: &[&[u8]], headers: &mut HeaderMap, body: &mut Bytes) {
    let forms = forms(secrets);
    if forms.is_empty() {
        return;
    }

    *body = clean(body, &forms);
    for value in headers.values_mut() {
        let cleaned = clean(&Bytes::copy_from_slice(value.as_bytes()), &forms);
        if cleaned != value.as_bytes() {
            *value =
                HeaderValue::from_bytes(&cleaned).unwrap_or(HeaderValue::from_static(REDACTED));
        }
    }
}

/// All forms of all secrets, the longest first.
pub(crate) fn forms(secrets: &[&[u8]]) -> Vec<Form> {
    let mut secrets: Vec<&[u8]> = secrets
        .iter()
        .copied()
        .filter(|secret| secret.len() >= SECRET_MIN)
        .collect();
    secrets.sort_unstable();
    secrets.dedup();

    let encoded = secrets.iter().flat_map(|secret| encodings(secret));
    let encoded = encoded.map(|bytes| Form {
        bytes,
        is_plain: false,
    });
    let plain = secrets.iter().map(|secret| Form {
        bytes: secret.to_vec(),
        is_plain: true,
    });
    let mut forms: Vec<Form> = encoded.chain(plain).collect();
    forms.sort_by_key(|form| Reverse(form.bytes.len()));
    forms
}

/// Searches for each form.
pub(crate) fn clean(bytes: &Bytes, forms: &[Form]) -> Bytes {
    let mut clean = bytes.clone();
    for form in forms {
        clean = if form.is_plain {
            without(&clean, &form.bytes)
        } else {
            replaced(&clean, &form.bytes, REDACTED.as_bytes())
        };
    }

    clean
}

/// Removes a secret, plain and as JSON, URLs, forms and HTML may spell it.
fn without(bytes: &Bytes, secret: &[u8]) -> Bytes {
    let mut clean = replaced(bytes, secret, REDACTED.as_bytes());
    for (marks, spelling) in SPELLINGS {
        if contains_any(&clean, marks) {
            clean = without_spelled(&clean, secret, spelling);
        }
    }

    clean
}

/// Searches for the secret in the decoded bytes, and removes the bytes that encode it.
fn without_spelled(bytes: &Bytes, secret: &[u8], spelling: Spelling) -> Bytes {
    let decoded = decode(bytes, spelling);
    if !decoded.was_encoded {
        return bytes.clone();
    }

    let (mut made, mut from) = (Vec::with_capacity(bytes.len()), 0);
    for found in memmem::find_iter(&decoded.bytes, secret) {
        made.extend_from_slice(&bytes[from..decoded.places[found]]);
        made.extend_from_slice(REDACTED.as_bytes());
        from = decoded.places[found + secret.len()];
    }

    made.extend_from_slice(&bytes[from..]);
    made.into()
}

/// A secret in hex, percent-encoded beyond ASCII, and in base64, also as a part of a larger text.
fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = hex::encode(secret);
    let percent =
        percent_encoding::percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
    let form: String = url::form_urlencoded::byte_serialize(secret).collect();
    let texts = [
        STANDARD.encode(secret),
        lower_percent(secret),
        percent,
        form,
        hex.to_uppercase(),
        hex,
    ];
    let mut forms: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    if secret.len() >= INNER_MIN {
        forms.extend((0..3).flat_map(|offset| inner_base64(secret, offset)));
    }

    forms
}

/// Percent-encoding with lower-case digits.
fn lower_percent(secret: &[u8]) -> String {
    let mut text = String::with_capacity(secret.len());
    for byte in secret {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }

    text
}

/// The base64 (standard and for URLs) of a secret after `offset` other bytes, without the
/// characters that also encode other bytes.
fn inner_base64(secret: &[u8], offset: usize) -> [Vec<u8>; 2] {
    let padded = [&[0; 3][..offset], secret].concat();
    // Only whole groups of three bytes; of the first group, only the characters of the secret.
    let whole = &padded[..padded.len() / 3 * 3];
    let skipped = [0, 2, 3][offset];
    [STANDARD.encode(whole), URL_SAFE.encode(whole)].map(|text| text.as_bytes()[skipped..].to_vec())
}
