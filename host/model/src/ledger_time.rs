//! The ledger's own time in milliseconds. It is monotonic, even if the time of day is changed.

use std::time::{Duration, Instant};

/// A point in ledger time, in milliseconds. Ledger time begins as the time of day of the first
/// start; only differences are meaningful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerTime(pub i64);

/// A clock of ledger time.
#[derive(Debug, Clone, Copy)]
pub struct LedgerClock {
    base: LedgerTime,
    at: Instant,
}

// === impl LedgerTime ===

impl LedgerTime {
    /// The point that is `time` later.
    pub fn plus(self, time: Duration) -> LedgerTime {
        LedgerTime(
            self.0
                .saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The point that is `time` earlier.
    pub fn minus(self, time: Duration) -> LedgerTime {
        LedgerTime(
            self.0
                .saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The time until `later`; zero if it has passed.
    pub fn until(self, later: LedgerTime) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0).max(0) as u64)
    }
}

// === impl LedgerClock ===

impl LedgerClock {
    /// A clock that begins at `base`.
    pub fn from(base: LedgerTime) -> LedgerClock {
        LedgerClock {
            base,
            at: Instant::now(),
        }
    }

    /// The current ledger time.
    pub fn now(&self) -> LedgerTime {
        self.base.plus(self.at.elapsed())
    }
}
