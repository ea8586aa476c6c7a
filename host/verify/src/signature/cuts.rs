//! Whether the signed text has one reading only. A sender that can choose where one signed value ends and the next begins can
//! make another event under the same signature.

use super::presented::Presented;
use crate::payload::{Part, is_token};
use crate::refusal::{Reason, Refusal};
use crate::view::View;

/// An id, or a value of the list, must not hold the text that ends it; one that nothing ends is a plain token or a date, so that
/// it cannot take over the end of a JSON body.
pub(super) fn ends_clearly(payload: &[Part], presented: &Presented) -> bool {
    let value = |part: &Part| match part {
        Part::Id => Some(&presented.id[..]),
        Part::Label(label) => Some(
            presented
                .labels
                .iter()
                .find(|(name, _)| name == label)
                .map_or(&b""[..], |(_, value)| value.as_bytes()),
        ),
        _ => None,
    };

    payload
        .iter()
        .enumerate()
        .all(|(at, part)| match (value(part), payload.get(at + 1)) {
            (None, _) => true,
            (Some(value), Some(Part::Literal(text))) => {
                !String::from_utf8_lossy(value).contains(text.as_str())
            }
            (Some(value), _) => is_token(value) || is_date(value),
        })
}

/// A value of the request must not hold the text that separates it from the body: another cut would give the same text. Parts
/// before the body are ended by the text after them, parts behind it by the text before them.
pub(super) fn check_cuts(
    payload: &[Part],
    view: &View<'_>,
    presented: &Presented,
) -> Result<(), Refusal> {
    let is_value = |part: &Part| {
        matches!(
            part,
            Part::Id | Part::Label(_) | Part::At(_) | Part::QueryLower(_)
        )
    };

    if payload.contains(&Part::FormSorted) && !view.is_urlencoded() {
        // Different bodies of another type have the same pairs, in another order or with other escapes.
        let why = "{form_sorted} is signed, and the content type is not application/x-www-form-urlencoded";
        return Err(Refusal::new(Reason::MalformedBody, why));
    }

    let free = payload
        .iter()
        .position(|part| matches!(part, Part::Body | Part::FormSorted));
    let is_long = |part: &Part| is_value(part) || matches!(part, Part::Url | Part::UrlUnescaped);
    let Some(free) = free.or_else(|| payload.iter().rposition(is_long)) else {
        return Ok(());
    };

    for (at, part) in payload
        .iter()
        .enumerate()
        .filter(|(at, part)| *at != free && is_value(part))
    {
        let neighbour = if at < free {
            payload.get(at + 1)
        } else {
            payload.get(at - 1)
        };
        if let Some(Part::Literal(mark)) = neighbour
            && memchr::memmem::find(&part.bytes(view, presented.signed(), b"")?, mark.as_bytes())
                .is_some()
        {
            return Err(Refusal::new(
                Reason::SignatureMismatch,
                "a signed value holds the text that ends it",
            ));
        }
    }

    Ok(())
}

/// Only characters of dates, such as `Thu, 09 Oct 2025 08:53:20 GMT`.
fn is_date(text: &[u8]) -> bool {
    const DATE_CHARS_MAX: usize = 64;

    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" ,:.+-".contains(byte);
    text.len() <= DATE_CHARS_MAX && text.iter().all(is_plain)
}
