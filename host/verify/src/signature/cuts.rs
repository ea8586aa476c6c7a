//! Checks that the signed text is unambiguous. A sender who can choose where one signed value ends
//! and the next begins could make another event with the same signature.

use super::presented::Presented;
use crate::payload::{Part, is_token};
use crate::refusal::{Reason, Refusal};
use crate::view::View;

const DATE_CHARS_MAX: usize = 64;

/// Whether ids and list values have a clear end: they must not contain the literal text that
/// follows. If no text follows, the value must be a plain token or a date, so that it cannot
/// swallow the start of the body.
pub(super) fn ends_clearly(payload: &[Part], presented: &Presented) -> bool {
    let mut parts = payload.iter().enumerate();
    parts.all(
        |(at, part)| match (listed_value(part, presented), payload.get(at + 1)) {
            (None, _) => true,
            (Some(value), Some(Part::Literal(text))) => {
                !String::from_utf8_lossy(value).contains(text.as_str())
            }
            (Some(value), _) => is_token(value) || is_date(value),
        },
    )
}

/// The value of an id or a label of the list.
fn listed_value<'a>(part: &Part, presented: &'a Presented) -> Option<&'a [u8]> {
    match part {
        Part::Id => Some(&presented.id),
        Part::Label(label) => {
            let mut labels = presented.labels.iter();
            let found = labels.find(|(name, _)| name == label);
            Some(found.map_or(&[][..], |(_, value)| value.as_bytes()))
        }
        _ => None,
    }
}

/// Refuses a value that contains the literal text between itself and the body: splitting the signed
/// text elsewhere would give the same bytes. The mark of a part before the body is the text after
/// it; the mark of a part after the body is the text before it.
pub(super) fn check_cuts(
    payload: &[Part],
    view: &View<'_>,
    presented: &Presented,
) -> Result<(), Refusal> {
    if payload.contains(&Part::FormSorted) && !view.is_urlencoded() {
        // Bodies of another content type with the same pairs could differ in order or escapes.
        let why = "{form_sorted} is signed, and the content type is not \
                   application/x-www-form-urlencoded";
        return Err(Refusal::new(Reason::MalformedBody, why));
    }

    let free = payload
        .iter()
        .position(|part| matches!(part, Part::Body | Part::FormSorted));
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
                "a signed value contains the text that ends it",
            ));
        }
    }

    Ok(())
}

fn is_long(part: &Part) -> bool {
    is_value(part) || matches!(part, Part::Url | Part::UrlUnescaped)
}

fn is_value(part: &Part) -> bool {
    matches!(
        part,
        Part::Id | Part::Label(_) | Part::At(_) | Part::QueryLower(_)
    )
}

/// Whether a text has only characters of dates, such as `Thu, 09 Oct 2025 08:53:20 GMT`.
fn is_date(text: &[u8]) -> bool {
    text.len() <= DATE_CHARS_MAX && text.iter().all(is_date_byte)
}

fn is_date_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b" ,:.+-".contains(byte)
}
