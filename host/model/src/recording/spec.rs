//! `[record]` of a hook file.

use std::time::Duration;

/// Which attempts of a hook are recorded, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordSpec {
    /// Whether attempts that do not end as `done` are recorded.
    pub failures: bool,
    /// The share of the other attempts that are recorded: 0 to 1.
    pub rate: f64,
    /// How long a recording is kept. `None`: as long as its attempt.
    pub keep: Option<Duration>,
}

// === impl RecordSpec ===

impl RecordSpec {
    /// Whether no attempt is recorded.
    pub fn is_off(&self) -> bool {
        !self.failures && self.rate <= 0.0
    }

    /// Whether an attempt is recorded even if it ends as `done`. `chance` returns a random number
    /// from 0 to 1, without 1. It is called only if the number matters.
    pub fn takes_success(&self, chance: impl FnOnce() -> f64) -> bool {
        self.rate > 0.0 && (self.rate >= 1.0 || chance() < self.rate)
    }
}

impl Default for RecordSpec {
    fn default() -> RecordSpec {
        RecordSpec {
            failures: true,
            rate: 0.0,
            keep: None,
        }
    }
}
