//! A deadline that moves with each request. To set a timer takes a lock that all connections share,
//! so the timer stays as it is while the deadline only moves to a later time, and is set again when
//! it has ended too early.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A time at which something must have happened.
pub(crate) struct Deadline {
    at: Instant,
    /// Ends at this time or before.
    timer: Pin<Box<Sleep>>,
}

// === impl Deadline ===

impl Deadline {
    pub(crate) fn new(at: Instant) -> Deadline {
        Deadline {
            at,
            timer: Box::pin(sleep_until(at)),
        }
    }

    pub(crate) fn set(&mut self, at: Instant) {
        self.at = at;
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }

    /// Ready when the time has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= self.at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    /// The seconds until the deadline, of deadlines that are set one after the other.
    async fn passed_after(seconds: &[u64]) -> u64 {
        let start = Instant::now();
        let at = |seconds: &u64| start + Duration::from_secs(*seconds);
        let mut deadline = Deadline::new(at(&seconds[0]));
        // The timer knows its task before the deadline moves.
        let is_pending = poll_fn(|cx| Poll::Ready(deadline.poll(cx).is_pending())).await;
        assert!(is_pending);
        for seconds in &seconds[1..] {
            deadline.set(at(seconds));
        }

        poll_fn(|cx| deadline.poll(cx)).await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn deadlines_move_both_ways() {
        for (seconds, expected) in [
            (vec![10], 10),
            (vec![10, 75], 75),
            (vec![75, 10], 10),
            (vec![10, 75, 20], 20),
            (vec![75, 10, 80], 80),
            (vec![10, 0], 0),
        ] {
            assert_eq!(passed_after(&seconds).await, expected, "{seconds:?}");
        }
    }
}
