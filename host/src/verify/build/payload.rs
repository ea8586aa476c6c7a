//! Rules of `payload`: what a signature covers.

use super::super::algorithm::{Running, is_plain_digest};
use super::super::payload::{self, Part};
use super::{BuildError, wrong};
use crate::model::{Algorithm, PayloadPiece, Place, TimeUnit, VerifySpec};

/// The text that is signed, checked: something of the request and, where there is no other key, the secret are always in it.
pub(super) fn payload(
    typed: &[PayloadPiece],
    spec: &VerifySpec,
    algorithm: Algorithm,
) -> Result<Vec<Part>, BuildError> {
    let parts = payload::parse(typed, &spec.config).map_err(|why| wrong("payload", why))?;
    if !parts.iter().any(Part::is_of_the_request) {
        return Err(wrong("payload", "nothing of the request is signed: name {body} or another part of it"));
    }
    if is_plain_digest(algorithm) && !parts.contains(&Part::Secret) {
        return Err(wrong("payload", "this algorithm has no key: {secret} must be part of what is signed"));
    }
    let is_public = Running::new(algorithm, b"").is_none();
    let in_optional = |part: &Part| matches!(part, Part::Optional(parts) if parts.contains(&Part::Secret));
    if (is_public && parts.contains(&Part::Secret)) || parts.iter().any(in_optional) {
        return Err(wrong("payload", "{secret} cannot be a part here"));
    }
    let unclear = parts.windows(2).any(|pair| match pair {
        [Part::Timestamp, Part::Literal(text)] => !text.starts_with(|next: char| next != '.' && !next.is_ascii_digit()),
        [Part::Timestamp, _] => true,
        _ => false,
    });
    let is_open = spec.timestamp.as_ref().is_some_and(|time| time.unit == Some(TimeUnit::Iso8601));
    if unclear && is_open {
        // Behind a time without an offset a fraction could be moved into what follows.
        return Err(wrong(
            "payload",
            "a time of unit iso8601 must be followed by a text such as \":\", or end what is signed",
        ));
    }
    Ok(parts)
}

pub(super) fn places_in(part: &Part) -> Vec<&Place> {
    match part {
        Part::At(place) => vec![place],
        Part::Optional(parts) => parts.iter().flat_map(places_in).collect(),
        _ => Vec::new(),
    }
}
