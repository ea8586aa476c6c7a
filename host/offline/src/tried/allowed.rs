//! `--allow`: differences that are meant.

use std::str::FromStr;

use landfall_model::recording::{Difference, DifferenceKind};

/// A kind of difference, or one place of it: `rows`, `reply:body/total`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    kind: DifferenceKind,
    place: Option<String>,
}

/// A text that names no difference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of difference: write one of {words}, or one place of it, such as `reply:body/total`", words = words())]
pub struct UnknownDifference(String);

// === impl Allowed ===

impl Allowed {
    pub(crate) fn includes(&self, difference: &Difference) -> bool {
        self.kind == difference.kind
            && self
                .place
                .as_ref()
                .is_none_or(|place| *place == difference.place)
    }
}

impl FromStr for Allowed {
    type Err = UnknownDifference;

    fn from_str(text: &str) -> Result<Allowed, UnknownDifference> {
        let (kind, place) = match text.split_once(':') {
            Some((kind, place)) => (kind, Some(place.to_owned())),
            None => (text, None),
        };
        DifferenceKind::of_word(kind)
            .filter(|kind| !kind.is_measured())
            .map(|kind| Allowed { kind, place })
            .ok_or_else(|| UnknownDifference(text.to_owned()))
    }
}

fn words() -> String {
    let kinds = DifferenceKind::ALL.into_iter();
    let words = kinds
        .filter(|kind| !kind.is_measured())
        .map(|kind| format!("`{}`", kind.word()));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_places_are_allowed() {
        let difference = Difference {
            kind: DifferenceKind::Reply,
            place: "body/total".into(),
            recorded: 1.into(),
            found: 2.into(),
        };
        for (text, expected) in [
            ("reply", true),
            ("reply:body/total", true),
            ("reply:body/other", false),
            ("rows", false),
        ] {
            let allowed: Allowed = text.parse().unwrap();
            assert_eq!(allowed.includes(&difference), expected, "{text}");
        }
        for text in ["replies", "duration", ""] {
            let error = text.parse::<Allowed>().unwrap_err().to_string();
            assert!(error.contains("`unanswered_call`"), "{error}");
        }
    }
}
