//! Mode `sync`: the event runs now, and its caller gets the outcome. The run of a caller who hangs
//! up becomes a task of its own, so that its handler is not interrupted. The attempt is recorded
//! after the answer, unless it has effects: those are stored before it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_engine::{Permit, Target, timeout};
use landfall_ledger::{Committed, Disposition, LedgerError, RecordedAttempt, Results};
use landfall_model::clock::to_ms;
use landfall_model::{Attempt, Effects, Event, Outcome, RetrySpec, Stored, Timing};

use super::awaited_run::AwaitedRun;
use super::canary::{NextRun, Ran, take_back};
use super::dead_reason::dead_reason;
use super::dispatcher::Dispatcher;
use super::finish::{Past, next_disposition, refused_outcome};
use super::record;
use super::trace::{self, AttemptStart};

/// The time for what follows the attempt: its end, and storing its effects.
const GRACE: Duration = Duration::from_millis(500);

impl Dispatcher {
    /// The outcome of the one attempt, `limit` and a grace from now at the latest. The permit is
    /// held until the run has ended.
    pub async fn run_sync(
        self: &Arc<Self>,
        target: &Arc<Target>,
        event: Event,
        timing: Timing,
        permit: Permit,
        limit: Duration,
    ) -> Outcome {
        let run = {
            let (dispatcher, target) = (self.clone(), target.clone());
            Box::pin(async move {
                let _permit = permit;
                let outcome = dispatcher.sync_attempt(&target, event, timing, limit).await;
                target.handler.metrics().count_attempt(outcome.word());
                outcome
            })
        };
        let run = AwaitedRun::new(run, target.permits.request_flow());

        // Most handlers do not wait, and need no timer.
        match timeout(limit + GRACE, pin!(run)).await {
            Ok(outcome) => outcome,
            // The machine is too busy even to end the attempt, which goes on and is recorded when
            // it has ended.
            Err(_) => Outcome::Timeout,
        }
    }

    async fn sync_attempt(
        &self,
        target: &Target,
        event: Event,
        timing: Timing,
        limit: Duration,
    ) -> Outcome {
        let (started, now) = (Instant::now(), self.clock.now());
        self.trace_queue(&event, now);
        let span = self.tracer.attempt(&event, None);
        let event = trace::within(Arc::new(event), span.as_ref());
        let started_ms = to_ms(now);
        let metrics = target.handler.metrics();
        let waited = now.duration_since(event.received_at).unwrap_or_default();
        metrics.measure_queue_wait(waited);
        let next = NextRun {
            target,
            event: event.clone(),
            number: 1,
            limit,
            is_sync: true,
        };
        let Ran {
            mut attempt,
            handler,
            is_repeated,
            version,
        } = next.run(&self.shadows).await;
        let digest = &handler.component().digest;
        let was_done = matches!(attempt.outcome, Outcome::Done(_));
        self.refuse_unread(&event, &mut attempt);
        if was_done && !matches!(attempt.outcome, Outcome::Done(_)) {
            take_back(target, &handler, version);
        }
        self.report(metrics, &event, 1, &attempt);
        if let Some(span) = &span {
            let start = AttemptStart {
                started,
                at: now,
                is_stored: false,
            };
            self.trace_attempt(span, &event, 1, &attempt, &start);
        }

        let is_done = matches!(attempt.outcome, Outcome::Done(_));
        let effects = std::mem::take(&mut attempt.effects);
        let has_results = is_done && !effects.is_empty();
        let recording = attempt.recording.take();
        let must_record = is_repeated || recording.is_some();
        if is_done && !has_results && !must_record && !self.sync_records.take(started) {
            return attempt.outcome;
        }

        let recorded = RecordedAttempt::FirstOf(event.id);
        let stored = Stored::new(Arc::unwrap_or_clone(event)).with_timing(timing);
        if has_results {
            let committed = self
                .commit_sync(target, digest, &stored, &attempt, effects, started_ms)
                .await;
            match committed {
                Ok(Committed::Refused(why, ())) => {
                    take_back(target, &handler, version);
                    attempt.outcome = refused_outcome(stored.event(), why);
                }
                Ok(Committed::Stored | Committed::LeaseLost) => {
                    let event = stored.event();
                    self.record_run(target, (event.id, &event.hook), recorded, recording);
                    return attempt.outcome;
                }
                // A success whose effects cannot be stored is none.
                Err(error) => {
                    take_back(target, &handler, version);
                    return not_stored(&error.to_string());
                }
            }
        }
        let (id, hook) = (stored.event().id, stored.event().hook.clone());
        self.record_later(target, digest, stored, &attempt, started_ms);
        self.record_run(target, (id, &hook), recorded, recording);
        attempt.outcome
    }

    /// `digest`: of the component that ran.
    async fn commit_sync(
        &self,
        target: &Target,
        digest: &str,
        stored: &Stored,
        attempt: &Attempt,
        effects: Effects,
        started_ms: i64,
    ) -> Result<Committed, LedgerError> {
        let results = self
            .results(stored.event(), effects, target)
            .map_err(LedgerError::Other)?;
        let emitted = results.emitted.clone();
        let record = record::build(attempt, started_ms, digest, &emitted);

        let done = Disposition::Done(results);
        let committed = self.ledger().record(stored.clone(), record, done).await?;
        if !matches!(committed, Committed::Refused(..)) {
            self.mark_emitted_due(&emitted);
        }
        Ok(committed)
    }

    /// Records an attempt after its answer. It is not retried: a failed one is dead, and can be
    /// replayed. It does not count as a dead letter, because its caller got the failure.
    fn record_later(
        &self,
        target: &Target,
        digest: &str,
        stored: Stored,
        attempt: &Attempt,
        started_ms: i64,
    ) {
        let record = record::build(attempt, started_ms, digest, &[]);
        let once = RetrySpec {
            attempts: 1,
            ..RetrySpec::default()
        };
        let first = Past {
            number: 1,
            ..Past::default()
        };
        let nothing = Results::empty(target.quota);
        let disposition = match &attempt.outcome {
            Outcome::Defer { reason, .. } => Disposition::Dead(dead_reason("defer", reason)),
            outcome => next_disposition(outcome, nothing, &first, &once, 0.5),
        };
        let recorded = self.ledger().record_later(stored, record, disposition);
        if recorded.is_none() {
            self.metrics.count_dropped_record();
        }
    }
}

fn not_stored(why: &str) -> Outcome {
    tracing::error!(why, "the effects of an attempt cannot be stored");
    Outcome::HostFault(format!("what the handler left cannot be stored: {why}"))
}
