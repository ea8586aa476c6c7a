//! Steps that several schemes share: reading a header, finding a key document, decoding, the
//! refusal for a mismatch.

use serde_json::Value;

use crate::refusal::{Reason, Refusal, malformed};
use crate::view::{Absent, View};
use landfall_model::Documents;

/// The string in every element of an array, as in `/value/*/clientState`. The array must not be
/// empty, and every element must have the string.
pub(crate) fn each<'a>(view: &'a View<'_>, pointer: &str) -> Result<Vec<&'a str>, Refusal> {
    let (before, after) = pointer.split_once("/*").expect("checked at load");
    let body = view.json().ok_or_else(|| malformed_body("is not JSON"))?;

    let elements = body
        .pointer(before)
        .and_then(Value::as_array)
        .ok_or_else(|| malformed_body("has no such array"))?;
    if elements.is_empty() {
        return Err(malformed_body("has an empty array"));
    }

    let texts = elements
        .iter()
        .map(|element| element.pointer(after).and_then(Value::as_str));

    texts.collect::<Option<_>>().ok_or_else(|| {
        Refusal::new(
            Reason::MissingToken,
            format!("token missing in an element (JSON {pointer})"),
        )
    })
}

pub(super) fn malformed_body(why: &str) -> Refusal {
    Refusal::new(Reason::MalformedBody, format!("the body {why}"))
}

/// The key document at a URL that the caller has checked to be the provider's.
pub(super) fn document(documents: &dyn Documents, url: &str) -> Result<bytes::Bytes, Refusal> {
    documents.get(url).ok_or_else(|| Refusal::needs(url))
}

/// The single value of a header, or the refusal if it is missing.
pub(super) fn header<'a>(
    view: &'a View<'_>,
    name: &str,
    absent: Reason,
) -> Result<&'a str, Refusal> {
    let found = view.header(name).map_err(|why| match why {
        Absent::Duplicate => Refusal::new(
            Reason::DuplicateHeader,
            format!("header {name} given more than once"),
        ),
        _ => Refusal::new(absent, format!("header {name} is missing")),
    })?;

    match std::str::from_utf8(found) {
        Ok("") => Err(Refusal::new(absent, format!("header {name} is empty"))),
        Ok(text) => Ok(text),
        Err(_) => Err(Refusal::new(
            Reason::MalformedSignature,
            format!("header {name} is not text"),
        )),
    }
}

pub(super) fn mismatch() -> Refusal {
    Refusal::new(
        Reason::SignatureMismatch,
        "the signature does not match: another secret, or another payload",
    )
}

pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, Refusal> {
    use base64::Engine as _;

    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map_err(|_| malformed("not base64"))
}

pub(super) fn of_length(bytes: Vec<u8>, expected: usize) -> Result<Vec<u8>, Refusal> {
    if bytes.len() == expected {
        Ok(bytes)
    } else {
        Err(malformed(format!(
            "{} bytes instead of {expected}",
            bytes.len()
        )))
    }
}
