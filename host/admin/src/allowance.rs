//! How many refused commands of one kind of sender the audit record keeps: of readers, and of
//! senders that were refused before their token was checked. Neither must push the changes of
//! operators out of the record, whose length is limited.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use landfall_model::lock;

/// Entries of all senders of a kind in an hour. The metrics count all of their refused requests.
const ENTRIES_MAX: u32 = 100;
const PERIOD: Duration = Duration::from_secs(3600);

/// The entries of the present hour.
#[derive(Default)]
pub(crate) struct Allowance(Mutex<Used>);

#[derive(Default)]
struct Used {
    /// When the hour began. `None`: with the next entry.
    since: Option<Instant>,
    entries: u32,
}

// === impl Allowance ===

impl Allowance {
    /// Whether a further entry may be stored. It counts as stored.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut used = lock(&self.0);
        if now.duration_since(used.since.unwrap_or(now)) >= PERIOD {
            *used = Used::default();
        }
        if used.entries >= ENTRIES_MAX {
            return false;
        }

        used.since.get_or_insert(now);
        used.entries += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_readers_are_bounded() {
        let (allowance, start) = (Allowance::default(), Instant::now());
        for hour in 0..3 {
            let now = start + hour * PERIOD;
            let stored = (0..2 * ENTRIES_MAX).filter(|_| allowance.take(now)).count();
            assert_eq!(stored, ENTRIES_MAX as usize, "hour {hour}");
        }
    }
}
