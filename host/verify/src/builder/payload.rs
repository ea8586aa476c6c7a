//! Rules of `payload`: what a signature covers.

use super::error::{BuildError, wrong};
use crate::algorithm::{Running, can_be_lengthened, is_plain_digest};
use crate::payload::{self, Part};
use crate::view::describe;
use landfall_model::{Algorithm, PayloadPiece, TimeUnit, ValueLocation, VerifySpec};

/// The rules by which a payload template is checked.
pub(super) struct PayloadRules<'a> {
    pub(super) spec: &'a VerifySpec,
    pub(super) algorithm: Algorithm,
    /// Whether a provider documents this text. Such a text is accepted although its parts are not
    /// clearly separated.
    pub(super) is_documented: bool,
}

// === impl PayloadRules ===

impl PayloadRules<'_> {
    /// Parses and checks the signed text. It must always contain a part of the request and, if the
    /// algorithm has no key, the secret.
    pub(super) fn read(&self, typed: &[PayloadPiece]) -> Result<Vec<Part>, BuildError> {
        let parts =
            payload::parse(typed, &self.spec.config).map_err(|why| wrong("payload", why))?;
        if !parts.iter().any(Part::is_of_the_request) {
            return Err(wrong(
                "payload",
                "nothing of the request is signed: name {body} or another part of it",
            ));
        }

        if is_plain_digest(self.algorithm) && !parts.contains(&Part::Secret) {
            return Err(wrong(
                "payload",
                "this algorithm has no key: {secret} must be part of what is signed",
            ));
        }

        let is_public = Running::new(self.algorithm, b"").is_none();
        if (is_public && parts.contains(&Part::Secret)) || parts.iter().any(is_optional_secret) {
            return Err(wrong("payload", "{secret} cannot be a part here"));
        }

        self.check_open_time(&parts)?;
        if !self.is_documented {
            self.check_extension(&parts)?;
            self.check_cuts(&parts)?;
        }

        Ok(parts)
    }

    /// After a time without an offset, a fraction could be moved into the next part.
    fn check_open_time(&self, parts: &[Part]) -> Result<(), BuildError> {
        let unclear = parts.windows(2).any(|pair| match pair {
            [Part::Timestamp, Part::Literal(text)] => {
                !text.starts_with(|next: char| next != '.' && !next.is_ascii_digit())
            }
            [Part::Timestamp, _] => true,
            _ => false,
        });

        let is_open = self
            .spec
            .timestamp
            .as_ref()
            .is_some_and(|time| time.unit == Some(TimeUnit::Iso8601));
        if unclear && is_open {
            return Err(wrong(
                "payload",
                "a time of unit iso8601 must be followed by a text such as \":\", or end what is \
                 signed",
            ));
        }

        Ok(())
    }

    /// Rejects payloads that allow length extension: the digest of a longer text could be computed
    /// without the secret.
    fn check_extension(&self, parts: &[Part]) -> Result<(), BuildError> {
        let after_secret = parts
            .iter()
            .skip_while(|part| **part != Part::Secret)
            .skip(1);

        let is_open = after_secret
            .clone()
            .any(|part| part.is_of_the_request() || matches!(part, Part::Optional(_)));
        if can_be_lengthened(self.algorithm) && is_open && parts.last() != Some(&Part::Secret) {
            return Err(wrong(
                "payload",
                "a plain digest over the secret and then text of the request can be extended by anyone who has seen one: \
                 end payload with {secret}, or use an hmac algorithm",
            ));
        }

        Ok(())
    }

    /// Rejects payloads in which the end of one part could be moved into the next one under the
    /// same signature.
    fn check_cuts(&self, parts: &[Part]) -> Result<(), BuildError> {
        let free = parts
            .iter()
            .position(is_free)
            .or_else(|| parts.iter().rposition(|part| self.is_variable(part)));

        let Some(free) = free else { return Ok(()) };

        let unclear = parts.iter().enumerate().find(|(at, part)| {
            let before = at.checked_sub(1).and_then(|before| parts.get(before));
            match part {
                _ if *at == free => false,
                part if is_free(part) => true,
                Part::Optional(inner) => *at > free || !is_clear_option(inner, parts.get(at + 1)),
                part if !self.is_variable(part) => false,
                part if *at < free => !is_separator(part, parts.get(at + 1)),
                part => !is_separator(part, before),
            }
        });

        match unclear {
            None => Ok(()),
            Some((_, part)) => Err(wrong(
                "payload",
                format!(
                    "nothing marks where {} ends and the next part begins, so a signature would also be right for other values: \
                     write {} between them; if a provider signs this way, describe it in a pack with `evidence`",
                    part_name(part),
                    if matches!(part, Part::Url | Part::UrlUnescaped) {
                        "a line end (\"\\n\")"
                    } else {
                        "a text such as \".\""
                    },
                ),
            )),
        }
    }

    /// Whether the request decides how long the part is. A time is not such a part, because it is
    /// parsed and checked against its window.
    fn is_variable(&self, part: &Part) -> bool {
        match part {
            Part::Timestamp => {
                let time = self.spec.timestamp.as_ref();
                let is_number =
                    time.is_some_and(|time| matches!(time.unit, Some(TimeUnit::S | TimeUnit::Ms)));

                is_number && time.is_none_or(|time| time.past.is_none())
            }
            Part::Literal(_)
            | Part::Secret
            | Part::Method
            | Part::BodySha256Hex
            | Part::BodySha256Base64
            | Part::BodyJsonString => false,
            _ => true,
        }
    }
}

fn is_optional_secret(part: &Part) -> bool {
    matches!(part, Part::Optional(parts) if parts.contains(&Part::Secret))
}

/// Whether the part may contain any text.
fn is_free(part: &Part) -> bool {
    matches!(part, Part::Body | Part::FormSorted)
}

/// Whether a neighbour marks the end of a part: a literal text that the part cannot contain, or
/// that is refused in it.
fn is_separator(part: &Part, neighbour: Option<&Part>) -> bool {
    let Some(Part::Literal(text)) = neighbour else {
        return false;
    };

    match part {
        // A URL may contain every character except white space and control characters.
        Part::Url | Part::UrlUnescaped => {
            text.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control())
        }
        _ => !text.is_empty(),
    }
}

/// Whether the presence of an optional group is unambiguous: it begins and ends with literal text,
/// and the next part begins differently.
fn is_clear_option(inner: &[Part], next: Option<&Part>) -> bool {
    let (Some(Part::Literal(first)), Some(Part::Literal(last))) = (inner.first(), inner.last())
    else {
        return false;
    };

    let following = match next {
        Some(Part::Optional(parts)) => parts.first(),
        next => next,
    };

    let Some(Part::Literal(following)) = following else {
        return false;
    };

    let differs = !first.starts_with(following.as_str()) && !following.starts_with(first.as_str());
    let is_each_ended = inner
        .windows(2)
        .all(|pair| matches!(pair, [Part::Literal(_), _] | [_, Part::Literal(_)]));

    !last.is_empty() && differs && is_each_ended
}

/// The part as written in `payload`.
fn part_name(part: &Part) -> String {
    match part {
        Part::Body => "{body}".into(),
        Part::Timestamp => "{timestamp} (which has no `past`)".into(),
        Part::Id => "{id}".into(),
        Part::Url => "{url}".into(),
        Part::UrlUnescaped => "{url_unescaped}".into(),
        Part::FormSorted => "{form_sorted}".into(),
        Part::Label(label) => format!("{{list:{label}}}"),
        Part::QueryLower(name) => format!("{{query_lower:{name}}}"),
        Part::At(place) => describe(place),
        Part::Optional(_) => "the list inside payload".into(),
        _ => "a part".into(),
    }
}

pub(super) fn places_in(part: &Part) -> Vec<&ValueLocation> {
    match part {
        Part::At(place) => vec![place],
        Part::Optional(parts) => parts.iter().flat_map(places_in).collect(),
        _ => Vec::new(),
    }
}
