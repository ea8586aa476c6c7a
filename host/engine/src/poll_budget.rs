//! Measures how much CPU time an attempt uses, so that slow attempts can leave the executor.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The CPU time that one poll may use before the attempt must yield.
pub(crate) const SLICE: Duration = Duration::from_millis(1);
/// After this many slow attempts in a row, the next attempts of a handler start in the background
/// pool.
const SLOW_MIN: u8 = 3;

/// The deadline of one attempt and the CPU time of its current poll.
///
/// Shared by the code that polls the attempt and by the engine's epoch callback.
pub(crate) struct PollBudget {
    began: Instant,
    until: Instant,
    slice_ns: u64,
    /// When the current poll started, in nanoseconds since `began`.
    poll_started_ns: AtomicU64,
    /// The most CPU time that the polling thread had used when the current poll started.
    cpu_started_ns: AtomicU64,
    was_exceeded: AtomicBool,
    /// See `own_time`.
    own_ns: AtomicU64,
}

/// Whether the last attempts of a handler were slow.
pub(crate) struct SlowHistory {
    slow_in_a_row: AtomicU8,
}

// === impl PollBudget ===

impl PollBudget {
    /// The budget of an attempt that starts now and ends within `limit`. Each poll may use `slice` of
    /// CPU time.
    pub(crate) fn new(limit: Duration, slice: Duration) -> Arc<PollBudget> {
        let began = Instant::now();
        Arc::new(PollBudget {
            began,
            until: began + limit,
            slice_ns: u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX),
            poll_started_ns: AtomicU64::new(0),
            cpu_started_ns: AtomicU64::new(0),
            was_exceeded: AtomicBool::new(false),
            own_ns: AtomicU64::new(0),
        })
    }

    /// The deadline of the attempt.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Compares the CPU time of the current poll with the slice, and remembers if it was exceeded.
    pub(crate) fn check_exceeded(&self) -> bool {
        // A poll that has not lasted for a slice cannot have used one. Without this, each attempt
        // would read the clock of its thread, which is a system call.
        let started_ns = self.poll_started_ns.load(Ordering::Relaxed);
        let poll_ns = self.ns_at(Instant::now()).saturating_sub(started_ns);
        if poll_ns < self.slice_ns {
            return false;
        }

        let used_ns = thread_ns().saturating_sub(self.cpu_started_ns.load(Ordering::Relaxed));
        let is_exceeded = used_ns >= self.slice_ns;

        if is_exceeded {
            self.was_exceeded.store(true, Ordering::Relaxed);
        }
        is_exceeded
    }

    /// Whether any poll of the attempt has exceeded the slice.
    pub(crate) fn was_exceeded(&self) -> bool {
        self.was_exceeded.load(Ordering::Relaxed)
    }

    /// The processor time that the attempt has used and the time for which it has waited by itself,
    /// as far as that was added. It excludes the time for which it waited for a processor.
    pub(crate) fn own_time(&self) -> Duration {
        Duration::from_nanos(self.own_ns.load(Ordering::Relaxed))
    }

    pub(crate) fn add_own_time(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.own_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Polls the attempt and measures this poll from now on.
    pub(crate) fn poll<F: Future>(
        &self,
        future: Pin<&mut F>,
        context: &mut Context,
    ) -> Poll<F::Output> {
        let now = Instant::now();
        self.poll_started_ns
            .store(self.ns_at(now), Ordering::Relaxed);
        self.cpu_started_ns
            .store(most_thread_ns(now), Ordering::Relaxed);
        future.poll(context)
    }

    fn ns_at(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_nanos() as u64
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

thread_local! {
    /// When this thread last read its CPU time, and the result.
    static LAST_READ: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
}

/// The CPU time of this thread at most. It is read once in a slice: until then, the thread has used
/// no more than the time that has passed.
fn most_thread_ns(now: Instant) -> u64 {
    if let Some((read, ns)) = LAST_READ.get() {
        let since = now.saturating_duration_since(read);
        if since < SLICE {
            return ns + since.as_nanos() as u64;
        }
    }

    let ns = thread_ns();
    LAST_READ.set(Some((now, ns)));
    ns
}

/// The CPU time of this thread. Wall-clock time would count the time that other threads had the
/// core.
pub(crate) fn thread_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_polls_exceed_nothing() {
        let budget = PollBudget::new(Duration::from_secs(60), SLICE);
        let mut waits = std::pin::pin!(async { std::thread::sleep(5 * SLICE) });
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(budget.poll(waits.as_mut(), &mut context).is_ready());
        assert!(!budget.check_exceeded());

        let mut computes = std::pin::pin!(async {
            let end = thread_ns() + 3 * SLICE.as_nanos() as u64;
            while thread_ns() < end {}
        });
        assert!(budget.poll(computes.as_mut(), &mut context).is_ready());
        assert!(budget.check_exceeded() && budget.was_exceeded());
    }

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
