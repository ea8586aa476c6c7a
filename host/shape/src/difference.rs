//! Differences between a body and the shape that is known: a field that is missing, new or of
//! another type.

use std::fmt;

use landfall_model::printable_start;
use serde::{Deserialize, Serialize};

/// The most characters of a place in a sentence.
const PLACE_MAX: usize = 300;

/// What is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// A field that every event had.
    Missing,
    /// A field that no event had.
    New,
    /// A value of another type or format.
    Retyped,
}

/// An open difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What is different.
    pub kind: DifferenceKind,
    /// The names on the way to the value. `*` is every element of an array, or every value of a
    /// map.
    pub path: Vec<String>,
    /// What the shape has there, in words.
    pub expected: String,
    /// What the event has there, in words.
    pub seen: String,
    /// The id of the first event with it.
    pub event: String,
    /// Events with it.
    pub events: u64,
    /// When the first of them was received, in ms since 1970.
    pub first_ms: i64,
    /// When the last of them was received, in ms since 1970.
    pub last_ms: i64,
    /// Events of this type since then, without it.
    pub quiet: u64,
}

/// Why a difference is no longer open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The last events of this type do not have it.
    Over,
    /// It has been there for so long that it is part of the shape.
    Adopted,
}

/// A difference of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: DifferenceKind,
    pub(crate) path: Vec<String>,
    pub(crate) expected: String,
    pub(crate) seen: String,
}

/// Names as a JSON pointer.
pub(crate) fn pointer(path: &[String]) -> String {
    let escaped = path
        .iter()
        .map(|name| name.replace('~', "~0").replace('/', "~1"));
    escaped.map(|name| format!("/{name}")).collect()
}

// === impl DifferenceKind ===

impl DifferenceKind {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            DifferenceKind::Missing => "missing",
            DifferenceKind::New => "new",
            DifferenceKind::Retyped => "retyped",
        }
    }
}

// === impl Difference ===

impl Difference {
    pub(crate) fn new(found: Found, event: &str, at_ms: i64) -> Difference {
        Difference {
            kind: found.kind,
            path: found.path,
            expected: found.expected,
            seen: found.seen,
            event: event.to_owned(),
            events: 1,
            first_ms: at_ms,
            last_ms: at_ms,
            quiet: 0,
        }
    }

    pub(crate) fn is(&self, found: &Found) -> bool {
        self.kind == found.kind && self.path == found.path
    }

    /// The place as a JSON pointer. Empty: the body.
    pub fn pointer(&self) -> String {
        pointer(&self.path)
    }
}

/// A sentence without a period, such as `/id is missing: every event had string`. Senders choose
/// the names in it: they are printable, and only their beginning is there if they are long.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = self.pointer();
        let place = printable_start(&pointer, PLACE_MAX);
        let Difference { expected, seen, .. } = self;
        match self.kind {
            _ if self.path.is_empty() => write!(f, "the body is {seen}; expected {expected}"),
            DifferenceKind::Missing => write!(f, "{place} is missing: every event had {expected}"),
            DifferenceKind::New => write!(f, "{place} is new: {seen}"),
            DifferenceKind::Retyped => write!(f, "{place} is {seen}, not {expected}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_escaped() {
        let path = ["a/b", "~", "*", ""].map(str::to_owned);
        assert_eq!(pointer(&path), "/a~1b/~0/*/");
        assert_eq!(pointer(&[]), "");
    }

    #[test]
    fn control_characters_are_shown() {
        let found = Found {
            kind: DifferenceKind::New,
            path: vec!["a\n\u{1b}[2J".to_owned()],
            expected: String::new(),
            seen: "string".to_owned(),
        };
        let sentence = Difference::new(found, "id", 0).to_string();
        assert_eq!(sentence, "/a\\n\\u{1b}[2J is new: string");

        let found = Found {
            kind: DifferenceKind::New,
            path: vec!["\u{202e}".repeat(30); 24],
            expected: String::new(),
            seen: "string".to_owned(),
        };
        let sentence = Difference::new(found, "id", 0).to_string();
        assert!(sentence.chars().count() < PLACE_MAX + 30, "{sentence}");
        assert!(sentence.ends_with("… is new: string"), "{sentence}");
    }
}
