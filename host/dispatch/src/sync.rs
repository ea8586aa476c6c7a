//! Mode `sync`: run now, answer with the outcome. The run is a task of its own, so that a caller who hangs up does not
//! cut a handler off in the middle. What happened is kept after the answer, except for what the handler stores: that is kept before it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::finish::{next_disposition, refused_outcome};
use super::{Delivery, record};
use landfall_engine::{Permit, Target};
use landfall_ledger::{Committed, Disposition, Results, Stored};
use landfall_model::clock::to_ms;
use landfall_model::{Event, Outcome, RetrySpec};

/// Successes without effects that are kept in one second: more would cost the node half of what it can do.
const KEPT_PER_SECOND: u32 = 200;
/// For what comes after the attempt: its end, and keeping its effects.
const GRACE: Duration = Duration::from_millis(500);

// === impl Delivery ===

impl Delivery {
    /// The outcome of the one attempt, `limit` and a grace from now at the latest. The permit is held until the run has ended.
    pub async fn sync(
        self: &Arc<Self>,
        target: Target,
        event: Event,
        permit: Permit,
        limit: Duration,
    ) -> Outcome {
        let delivery = self.clone();
        let run = tokio::spawn(async move {
            let _slot = permit;
            let hook = event.hook.clone();
            let outcome = delivery.sync_attempt(&target, event, limit).await;
            delivery.count(&hook, &outcome);
            outcome
        });
        match tokio::time::timeout(limit + GRACE, run).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::error!(%error, "an attempt panicked in the host");
                Outcome::HostFault("a host function panicked".into())
            }
            // The machine is too busy even to end the attempt; it is recorded when it has ended.
            Err(_) => Outcome::Timeout,
        }
    }

    async fn sync_attempt(&self, target: &Target, event: Event, limit: Duration) -> Outcome {
        let (started, started_ms) = (Instant::now(), to_ms(self.clock.now()));
        let event = Arc::new(event);
        let mut attempt = target.handler.run(event.clone(), 1, limit).await;
        record::write(&event, 1, &attempt);
        self.count_failed_calls(&event.hook, &attempt.calls);
        let is_done = matches!(attempt.outcome, Outcome::Done(_));
        let effects = std::mem::take(&mut attempt.effects);
        let is_needed = is_done && !effects.is_empty();
        if is_done && !is_needed && !self.may_keep(started) {
            return attempt.outcome;
        }
        let stored = Stored::new(Arc::unwrap_or_clone(event));
        let ledger = self.queue.ledger();
        let digest = &target.handler.component().digest;
        if is_needed {
            let results = self.results(stored.event(), effects, target);
            let emitted = results.emitted.clone();
            let kept = record::kept(&attempt, started_ms, digest, &emitted);
            // A success that cannot be stored is none.
            match ledger
                .record(stored.clone(), kept, Disposition::Done(results))
                .await
            {
                Ok(Committed::Refused(why, ())) => {
                    attempt.outcome = refused_outcome(stored.event(), why)
                }
                Ok(_) => {
                    self.ring_for(&emitted);
                    return attempt.outcome;
                }
                Err(error) => return failed(&error.to_string()),
            }
        }
        let kept = record::kept(&attempt, started_ms, digest, &[]);
        // Nothing is tried again: whatever failed is dead, and can be replayed.
        let once = RetrySpec {
            attempts: 1,
            ..RetrySpec::default()
        };
        let end = next_disposition(
            &attempt.outcome,
            Results::empty(target.quota),
            1,
            &once,
            0.5,
        );
        if ledger.record_later(stored, kept, end).is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        attempt.outcome
    }

    /// Records for which there was no room, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn may_keep(&self, now: Instant) -> bool {
        let second = now.duration_since(self.began).as_secs();
        let mut kept = self
            .kept
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if kept.0 != second {
            *kept = (second, 0);
        }
        kept.1 += 1;
        kept.1 <= KEPT_PER_SECOND
    }
}

fn failed(why: &str) -> Outcome {
    tracing::error!(why, "what a handler stored cannot be kept");
    Outcome::HostFault(format!("what the handler left cannot be stored: {why}"))
}
