//! What a stored shape says without its places, which are most of it.

use serde::Deserialize;

use super::difference::Difference;
use super::shape::VERSION;

/// A shape without its places. Reading it from a text needs no memory for them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Summary {
    version: u32,
    /// The length of the stored text, in bytes.
    #[serde(skip)]
    pub bytes: usize,
    /// Learned events.
    pub events: u64,
    /// Those of them whose body was a form.
    pub forms: u64,
    /// Those of them whose body was neither JSON nor a form.
    pub others: u64,
    /// When the first of them was received, in ms since 1970.
    pub first_ms: i64,
    /// When the last of them was received, in ms since 1970.
    pub last_ms: i64,
    known_ms: Option<i64>,
    /// The open differences, oldest first.
    pub differences: Vec<Difference>,
}

// === impl Summary ===

impl Summary {
    /// As `Shape::parse`.
    pub fn parse(text: &str) -> Option<Summary> {
        let summary: Summary = serde_json::from_str(text).ok()?;
        (summary.version == VERSION).then_some(Summary {
            bytes: text.len(),
            ..summary
        })
    }

    /// Whether differences are reported.
    pub fn is_known(&self) -> bool {
        self.known_ms.is_some()
    }
}
