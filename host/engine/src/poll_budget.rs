//! Measures how much CPU time an attempt uses, so that slow attempts can leave the executor.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The CPU time that one poll may use before the attempt must yield.
const SLICE: Duration = Duration::from_millis(1);
/// After this many slow attempts in a row, the next attempts of a handler start in the background
/// pool.
const SLOW_MIN: u8 = 3;

/// The deadline of one attempt and the CPU time of its current poll.
///
/// Shared by the code that polls the attempt and by the engine's epoch callback.
pub(crate) struct PollBudget {
    until: Instant,
    /// The CPU time of the polling thread when the current poll started.
    poll_started_ns: AtomicU64,
    was_exceeded: AtomicBool,
}

/// Whether the last attempts of a handler were slow.
pub(crate) struct SlowHistory {
    slow_in_a_row: AtomicU8,
}

// === impl PollBudget ===

impl PollBudget {
    /// The budget of an attempt that starts now and ends within `limit`.
    pub(crate) fn new(limit: Duration) -> Arc<PollBudget> {
        Arc::new(PollBudget {
            until: Instant::now() + limit,
            poll_started_ns: AtomicU64::new(0),
            was_exceeded: AtomicBool::new(false),
        })
    }

    /// The deadline of the attempt.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Compares the CPU time of the current poll with the slice, and remembers if it was exceeded.
    pub(crate) fn check_exceeded(&self) -> bool {
        let used_ns = thread_ns().saturating_sub(self.poll_started_ns.load(Ordering::Relaxed));
        let is_exceeded = u128::from(used_ns) >= SLICE.as_nanos();

        if is_exceeded {
            self.was_exceeded.store(true, Ordering::Relaxed);
        }
        is_exceeded
    }

    /// Whether any poll of the attempt has exceeded the slice.
    pub(crate) fn was_exceeded(&self) -> bool {
        self.was_exceeded.load(Ordering::Relaxed)
    }

    /// Polls the attempt and measures this poll from now on.
    pub(crate) fn poll<F: Future>(
        &self,
        future: Pin<&mut F>,
        context: &mut Context,
    ) -> Poll<F::Output> {
        self.poll_started_ns.store(thread_ns(), Ordering::Relaxed);
        future.poll(context)
    }
}

// === impl SlowHistory ===

impl SlowHistory {
    /// The history of a handler that has not run yet.
    pub(crate) fn new() -> SlowHistory {
        SlowHistory {
            slow_in_a_row: AtomicU8::new(0),
        }
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.slow_in_a_row.load(Ordering::Relaxed) >= SLOW_MIN
    }

    /// Adds an attempt. One quick attempt clears the history.
    pub(crate) fn record(&self, was_slow: bool) {
        let slow = self.slow_in_a_row.load(Ordering::Relaxed);
        let slow = if was_slow {
            slow.saturating_add(1).min(SLOW_MIN)
        } else {
            0
        };
        self.slow_in_a_row.store(slow, Ordering::Relaxed);
    }

    /// A history in which the next attempt starts in the background pool.
    #[cfg(test)]
    pub(crate) fn slow() -> SlowHistory {
        SlowHistory {
            slow_in_a_row: AtomicU8::new(SLOW_MIN),
        }
    }
}

/// The CPU time of this thread. Wall-clock time would count the time that other threads had the
/// core.
fn thread_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_slow_attempts_make_history() {
        let history = SlowHistory::new();
        for _ in 0..SLOW_MIN {
            assert!(!history.is_slow());
            history.record(true);
        }
        assert!(history.is_slow());

        history.record(false);
        assert!(!history.is_slow());
    }
}
