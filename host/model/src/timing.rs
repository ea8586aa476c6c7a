//! How long the steps before the ledger took. The ledger stores it beside the event, for operators.

use std::time::{Duration, Instant};

/// What a node knows of the way of a request to the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// When this process had read the whole request. `None`: the event does not come from a request
    /// that this process has read.
    pub read_at: Option<Instant>,
    /// How long the sender's proof was checked after that, key documents and the decoding of the
    /// body included.
    pub verify: Option<Duration>,
}

// === impl Timing ===

impl Timing {
    /// The duration of the check in microseconds.
    pub fn verify_us(&self) -> Option<i64> {
        self.verify.map(micros)
    }

    /// The microseconds from the end of the request until now.
    pub fn since_read_us(&self) -> Option<i64> {
        self.read_at.map(|at| micros(at.elapsed()))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_microseconds() {
        let timing = Timing {
            read_at: Instant::now().checked_sub(Duration::from_secs(2)),
            verify: Some(Duration::from_millis(3)),
        };
        assert_eq!(timing.verify_us(), Some(3_000));
        assert!(timing.since_read_us().is_some_and(|us| us >= 2_000_000));
        assert_eq!(Timing::default().since_read_us(), None);
    }
}
