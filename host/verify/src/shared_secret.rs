//! Schemes `token` and `basic`: the request carries the secret itself. It is compared in constant
//! time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::algorithm::same_text;
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal};
use crate::schemes::each;
use crate::view::{Absent, View, describe};
use landfall_model::ValueLocation;

pub(crate) fn token(
    from: &ValueLocation,
    prefix: &str,
    view: &View<'_>,
    keys: &Keys,
) -> Result<usize, Refusal> {
    if let ValueLocation::Each(pointer) = from {
        let tokens = each(view, pointer)?;
        let matched = keys.find(|_, key| {
            let tokens = tokens.iter();
            Ok(tokens.fold(true, |all, token| same_text(token.as_bytes(), key) & all))
        })?;

        return matched.ok_or_else(mismatch);
    }

    let text = view
        .find(from, false)
        .map_err(|absent| absent_token(absent, from))?;

    let token = after_prefix(&text, prefix).ok_or_else(|| {
        Refusal::new(
            Reason::TokenMismatch,
            format!("the token does not begin with `{prefix}`"),
        )
    })?;

    keys.find(|_, key| Ok(same_text(token, key)))?
        .ok_or_else(mismatch)
}

fn mismatch() -> Refusal {
    Refusal::new(Reason::TokenMismatch, "the token does not match")
}

/// Checks the `user:password` of an `Authorization: Basic …` header. The scheme's name is
/// case-insensitive (RFC 9110 section 11.1).
pub(crate) fn basic(view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let place = ValueLocation::Header("Authorization".into());
    let text = view
        .find(&place, false)
        .map_err(|absent| absent_token(absent, &place))?;

    let encoded = after_prefix(&text, "Basic ").ok_or_else(|| {
        Refusal::new(
            Reason::TokenMismatch,
            "the credentials do not begin with `Basic `",
        )
    })?;

    let pair = STANDARD
        .decode(encoded.trim_ascii())
        .map_err(|_| malformed_credentials("not base64"))?;
    if !pair.contains(&b':') {
        return Err(malformed_credentials("no colon in them"));
    }

    keys.find(|_, key| Ok(same_text(&pair, key) & is_credentials(key)))?
        .ok_or_else(|| Refusal::new(Reason::TokenMismatch, "the basic credentials do not match"))
}

fn malformed_credentials(why: &str) -> Refusal {
    Refusal::new(
        Reason::MalformedSignature,
        format!("basic credentials malformed: {why}"),
    )
}

/// Whether a secret has the form `user:password`. An empty password is rejected, because knowing
/// the user's name would be enough.
pub(crate) fn is_credentials(secret: &[u8]) -> bool {
    secret
        .iter()
        .position(|byte| *byte == b':')
        .is_some_and(|colon| colon + 1 < secret.len())
}

fn absent_token(absent: Absent, place: &ValueLocation) -> Refusal {
    let place = describe(place);
    match absent {
        Absent::Duplicate => Refusal::new(
            Reason::DuplicateHeader,
            format!("token ({place}) given more than once"),
        ),
        Absent::NoJson => Refusal::new(
            Reason::MalformedBody,
            "the body is not JSON, or it exceeds the limits of a check",
        ),
        Absent::Missing => Refusal::new(Reason::MissingToken, format!("token missing ({place})")),
    }
}

/// The text after the prefix. A prefix that ends in a space is the name of an authentication
/// scheme, such as `Bearer `, and is case-insensitive (RFC 9110 section 11.1). Every other prefix
/// is case-sensitive.
fn after_prefix<'a>(text: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    match text.split_at_checked(prefix.len())? {
        (word, rest) if word == prefix.as_bytes() => Some(rest),
        (word, rest) if prefix.ends_with(' ') && word.eq_ignore_ascii_case(prefix.as_bytes()) => {
            Some(rest)
        }
        _ => None,
    }
}
