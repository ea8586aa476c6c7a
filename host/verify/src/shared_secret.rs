//! Schemes `token` and `basic`: the request carries the secret itself, which is compared in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::algorithm::same_text;
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal};
use crate::schemes::each;
use crate::view::{Absent, View, describe};
use landfall_model::ValueLocation;

pub fn token(
    from: &ValueLocation,
    prefix: &str,
    view: &View<'_>,
    keys: &Keys,
) -> Result<usize, Refusal> {
    let mismatch = || Refusal::new(Reason::TokenMismatch, "the token does not match");
    if let ValueLocation::Each(pointer) = from {
        let tokens = each(view, pointer)?;
        let matches = |key: &[u8]| {
            tokens
                .iter()
                .fold(true, |all, token| same_text(token.as_bytes(), key) & all)
        };

        return keys.find(|_, key| Ok(matches(key)))?.ok_or_else(mismatch);
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

/// `user:password` of an `Authorization: Basic …` header. The scheme's name is case-insensitive (RFC 9110 section 11.1).
pub fn basic(view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
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

    let malformed = |why: &str| {
        Refusal::new(
            Reason::MalformedSignature,
            format!("basic credentials malformed: {why}"),
        )
    };

    let pair = STANDARD
        .decode(encoded.trim_ascii())
        .map_err(|_| malformed("not base64"))?;
    if !pair.contains(&b':') {
        return Err(malformed("no colon in them"));
    }

    keys.find(|_, key| Ok(same_text(&pair, key) & is_credentials(key)))?
        .ok_or_else(|| Refusal::new(Reason::TokenMismatch, "the basic credentials do not match"))
}

/// Whether a secret is `user:password`. With an empty password, knowing the user's name would be enough.
pub fn is_credentials(secret: &[u8]) -> bool {
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
            "the body is not JSON, or of more parts than a check reads",
        ),
        Absent::Missing => Refusal::new(Reason::MissingToken, format!("token missing ({place})")),
    }
}

/// What follows the prefix. A prefix that ends in a space is the name of an authentication scheme, such as `Bearer `, and
/// those are case-insensitive (RFC 9110 section 11.1); any other prefix is not.
fn after_prefix<'a>(text: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    match text.split_at_checked(prefix.len())? {
        (word, rest) if word == prefix.as_bytes() => Some(rest),
        (word, rest) if prefix.ends_with(' ') && word.eq_ignore_ascii_case(prefix.as_bytes()) => {
            Some(rest)
        }
        _ => None,
    }
}
