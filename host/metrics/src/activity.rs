//! What the alarms need to know of a hook: totals since the start, which no scrape shows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use landfall_model::HookActivity;

/// Refusals that say nothing about the sender: the path was called in another way, or this node
/// cannot take the request.
const NOT_OF_THE_SENDER: [&str; 21] = [
    "bad_head",
    "body_broken",
    "body_timeout",
    "body_too_large",
    "busy",
    "closed",
    "coding_unknown",
    "confirmation_failed",
    "encoding_broken",
    "encoding_unknown",
    "event_too_large",
    "head_timeout",
    "head_too_large",
    "key_unavailable",
    "method_not_allowed",
    "method_unknown",
    "no_secret",
    "not_stored",
    "starting",
    "unavailable",
    "unknown_path",
];

/// The totals of one hook.
pub(crate) struct ActivityCounters {
    requests: AtomicU64,
    events: AtomicU64,
    refused: AtomicU64,
    slow_answers: AtomicU64,
    server_errors: AtomicU64,
    challenges: AtomicU64,
    challenges_refused: AtomicU64,
    /// In microseconds. An answer that takes longer is slow.
    slow_from_us: AtomicU64,
}

// === impl ActivityCounters ===

impl ActivityCounters {
    pub(crate) fn new() -> ActivityCounters {
        let zero = || AtomicU64::new(0);
        ActivityCounters {
            requests: zero(),
            events: zero(),
            refused: zero(),
            slow_answers: zero(),
            server_errors: zero(),
            challenges: zero(),
            challenges_refused: zero(),
            slow_from_us: AtomicU64::new(u64::MAX),
        }
    }

    pub(crate) fn answered(&self, time: Duration, status: u16) {
        add(&self.requests);
        if status >= 500 {
            add(&self.server_errors);
        }
        if time.as_micros() > u128::from(self.slow_from_us.load(Ordering::Relaxed)) {
            add(&self.slow_answers);
        }
    }

    pub(crate) fn verified(&self) {
        add(&self.events);
    }

    pub(crate) fn refused(&self, reason: &str) {
        if !NOT_OF_THE_SENDER.contains(&reason) {
            add(&self.refused);
        }
    }

    pub(crate) fn challenge(&self, is_answered: bool) {
        add(if is_answered {
            &self.challenges
        } else {
            &self.challenges_refused
        });
    }

    /// `None`: no answer is slow.
    pub(crate) fn set_slow_from(&self, time: Option<Duration>) {
        let micros = time.map_or(u64::MAX, |time| {
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        });
        self.slow_from_us.store(micros, Ordering::Relaxed);
    }

    pub(crate) fn totals(&self) -> HookActivity {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HookActivity {
            requests: get(&self.requests),
            events: get(&self.events),
            refused: get(&self.refused),
            slow_answers: get(&self.slow_answers),
            server_errors: get(&self.server_errors),
            challenges: get(&self.challenges),
            challenges_refused: get(&self.challenges_refused),
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_say_what_happened() {
        let counters = ActivityCounters::new();
        counters.answered(Duration::from_secs(60), 200);
        counters.set_slow_from(Some(Duration::from_secs(7)));
        counters.answered(Duration::from_secs(7), 503);
        counters.answered(Duration::from_secs(8), 401);
        counters.verified();
        counters.refused("signature_mismatch");
        counters.refused("busy");
        counters.challenge(true);
        counters.challenge(false);

        let expected = HookActivity {
            requests: 3,
            events: 1,
            refused: 1,
            slow_answers: 1,
            server_errors: 1,
            challenges: 1,
            challenges_refused: 1,
        };
        assert_eq!(counters.totals(), expected);
    }
}
