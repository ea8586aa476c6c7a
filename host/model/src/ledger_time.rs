//! The ledger's own time in milliseconds. It never goes back and never jumps, even if the time of day does.

use std::time::{Duration, Instant};

/// A point in ledger time, in milliseconds. It begins as the time of day of the first start and only means something beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerTime(pub i64);

/// Counts on from a point.
#[derive(Debug, Clone, Copy)]
pub struct LedgerClock {
    base: LedgerTime,
    at: Instant,
}

// === impl LedgerTime ===

impl LedgerTime {
    /// So much later.
    pub fn plus(self, time: Duration) -> LedgerTime {
        LedgerTime(
            self.0
                .saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// So much earlier.
    pub fn minus(self, time: Duration) -> LedgerTime {
        LedgerTime(
            self.0
                .saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long until `later`; zero where that has passed.
    pub fn until(self, later: LedgerTime) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0).max(0) as u64)
    }
}

// === impl LedgerClock ===

impl LedgerClock {
    /// It is `base` now.
    pub fn from(base: LedgerTime) -> LedgerClock {
        LedgerClock {
            base,
            at: Instant::now(),
        }
    }

    /// Now.
    pub fn now(&self) -> LedgerTime {
        self.base.plus(self.at.elapsed())
    }
}
