//! The end of an attempt: its disposition follows from its outcome, is committed with everything
//! that the attempt leaves, and then the callers that wait are told.

use std::sync::Arc;
use std::time::Duration;

use landfall_candidate::Version;
use landfall_engine::Target;
use landfall_ledger::{
    Committed, Deferred, Disposition, LedgerError, NewEvent, RecordedAttempt, Refused, Results,
};
use landfall_metrics::HookMetrics;
use landfall_model::{Attempt, Event, Outcome, Reply, RetrySpec};
use tokio::sync::oneshot;

use super::canary::take_back;
use super::dead_reason::dead_reason;
use super::dispatcher::Dispatcher;
use super::lease::Lease;
use super::results::unread_outcome;
use super::{record, reply_format};

/// Attempts that lost a key to another handler are spread over this time before they run again.
const CONFLICT_SPREAD: Duration = Duration::from_millis(200);
/// A larger reply is not stored: a duplicate then gets the answer of an accepted event.
const STORED_REPLY_MAX: usize = 64 << 10;

/// An attempt that has run, and what its end needs.
pub(crate) struct RanAttempt {
    pub event: Arc<Event>,
    pub number: u32,
    pub attempt: Attempt,
    pub started_ms: i64,
    /// Its handler is the one that ran.
    pub target: Target,
    /// The candidate of the hook ran.
    pub is_candidate: bool,
    /// Several events have run together.
    pub is_batch: bool,
    /// A caller at another node that waits for the outcome.
    pub remote: Option<oneshot::Sender<Outcome>>,
}

impl Dispatcher {
    /// Commits the attempt. Results that cannot be stored make another outcome of it, and that is
    /// committed.
    pub(crate) async fn finish(&self, mut lease: Lease, mut done: RanAttempt) {
        let metrics = done.target.handler.metrics().clone();
        let was_done = matches!(done.attempt.outcome, Outcome::Done(_));
        self.refuse_unread(&done.event, &mut done.attempt);
        self.report(&metrics, &done.event, done.number, &done.attempt);

        landfall_model::kill_point!("before-end");
        let recording = done.attempt.recording.take();
        let recorded = RecordedAttempt::OfLease(lease.fence());
        let effects = std::mem::take(&mut done.attempt.effects);
        let mut results = match self.results(&done.event, effects, &done.target) {
            Ok(results) => results,
            Err(why) => {
                if matches!(done.attempt.outcome, Outcome::Done(_)) {
                    done.attempt.outcome = unread_outcome(&done.event, &why);
                }
                Results::empty(done.target.quota)
            }
        };
        if was_done && !matches!(done.attempt.outcome, Outcome::Done(_)) {
            done.take_back();
        }
        loop {
            let (disposition, emitted) = self.disposition(&done, lease.deferred(), results);
            let (pause, end) = (disposition.pause(), DeliveryEnd::of(&disposition));
            let record = record::build(
                &done.attempt,
                done.started_ms,
                &done.target.handler.component().digest,
                &emitted,
            );
            match lease.commit(record, disposition).await {
                Ok(Committed::Stored) => {
                    end.count(&metrics, &done.attempt.outcome);
                    self.mark_emitted_due(&emitted);
                    let of = (done.event.id, &done.event.hook);
                    self.record_run(&done.target, of, recorded, recording);
                    return self.after_commit(done, pause);
                }
                Ok(Committed::LeaseLost) => return self.after_lost_lease(&done),
                Ok(Committed::Refused(why @ Refused::Changed(_), same)) => {
                    done.attempt.outcome = refused_outcome(&done.event, why);
                    return self.after_conflict(done, same).await;
                }
                Ok(Committed::Refused(why, same)) => {
                    lease = same;
                    done.take_back();
                    done.attempt.outcome = refused_outcome(&done.event, why);
                    results = Results::empty(done.target.quota);
                }
                Err(error) => return self.after_failed_commit(&done, &error),
            }
        }
    }

    /// What follows from the outcome, and the events that the attempt emits.
    fn disposition(
        &self,
        done: &RanAttempt,
        deferred: Deferred,
        results: Results,
    ) -> (Disposition, Vec<NewEvent>) {
        let (outcome, retry) = (&done.attempt.outcome, &done.target.retry);
        let past = Past {
            number: done.number,
            deferrals: deferred.count,
            deferred_for: deferred.since.map(|since| since.until(self.ledger().now())),
        };
        let mut disposition = next_disposition(outcome, results, &past, retry, chance());
        if done.is_batch {
            let split_after = done.target.flow.split_after();
            disposition = of_batch(disposition, outcome, done.number, split_after);
        }

        let emitted = match &mut disposition {
            Disposition::Done(results) => {
                results.reply = reply_for_duplicates(&done.event, &done.attempt, &done.target);
                results.emitted.clone()
            }
            Disposition::Retry(_) | Disposition::Defer(_) => Vec::new(),
            Disposition::Split(why) => {
                let (hook, event, attempts) = (&*done.event.hook, done.event.id, done.number);
                tracing::warn!(hook, %event, attempts, why = &**why, "the batch has failed: its events run alone");
                Vec::new()
            }
            Disposition::Dead(why) => {
                let (hook, event, attempts) = (&*done.event.hook, done.event.id, done.number);
                tracing::error!(hook, %event, attempts, why = &**why, "delivery is dead");
                Vec::new()
            }
        };

        (disposition, emitted)
    }

    fn after_commit(&self, done: RanAttempt, pause: Option<Duration>) {
        let (event, hook, outcome) = (&done.event, &done.event.hook, done.attempt.outcome);
        done.target.handler.metrics().count_attempt(outcome.word());
        self.judge(event, &outcome, done.is_candidate);
        landfall_model::kill_point!("after-end");

        let is_received = self.replies.publish(event.id, &outcome) || done.remote.is_some();
        if let Outcome::Done(Some(reply)) = &outcome
            && !is_received
            && !is_success(reply)
        {
            let status = reply.status;
            tracing::warn!(
                hook = &**hook, event = %event.id, status,
                "the event is done, and no caller waits for the handler's reply: to refuse an event, a handler returns `reject` or `retry`"
            );
        }
        if let Some(remote) = done.remote {
            remote.send(outcome).ok();
        }

        match pause {
            Some(pause) => self.work.mark_due_in(hook, pause),
            // The next event of the order key may run.
            None if done.target.order_of.is_some() => self.work.mark_due(hook),
            None => self.work.notify_of_permit(),
        }
    }

    /// Another handler changed the same key first: the attempt does not count, and the event runs
    /// again soon.
    async fn after_conflict(&self, done: RanAttempt, lease: Lease) {
        let (event, hook) = (&done.event, &done.event.hook);
        let pause = CONFLICT_SPREAD.mul_f64(chance());
        if let Err(error) = lease.release(pause).await {
            return self.after_failed_commit(&done, &error);
        }
        done.count_attempt();
        done.target.handler.metrics().count_retry();
        landfall_model::kill_point!("after-end");

        // The next attempt answers the callers that wait.
        if let Some(remote) = done.remote {
            self.replies.adopt(event.id, remote);
        }
        self.work.mark_due_in(hook, pause);
    }

    fn after_lost_lease(&self, done: &RanAttempt) {
        let (event, hook, number) = (&done.event, &done.event.hook, done.number);
        done.count_attempt();
        self.judge(event, &done.attempt.outcome, done.is_candidate);
        landfall_model::kill_point!("after-end");

        tracing::warn!(hook = &**hook, event = %event.id, number, "another node has the lease: the results of the attempt are dropped");
        self.replies.forget(event.id);
        self.work.mark_due(hook);
    }

    fn after_failed_commit(&self, done: &RanAttempt, error: &LedgerError) {
        let (event, hook) = (&done.event, &done.event.hook);
        done.count_attempt();
        landfall_model::kill_point!("after-end");

        self.replies.forget(event.id);
        tracing::error!(hook = &**hook, event = %event.id, %error, "the result of an attempt cannot be stored: the event runs again");
    }

    /// Tells the circuit of the hook how the attempt ended.
    fn judge(&self, event: &Event, outcome: &Outcome, is_candidate: bool) {
        let is_own = event.attribute("emitted-by") == Some(&*event.hook);
        if is_judged(outcome, is_own, is_candidate) {
            self.gate.record_outcome(&event.hook, outcome);
        }
    }
}

// === impl RanAttempt ===

impl RanAttempt {
    fn count_attempt(&self) {
        let metrics = self.target.handler.metrics();
        metrics.count_attempt(self.attempt.outcome.word());
    }

    /// What it leaves is not stored.
    fn take_back(&self) {
        let version = if self.is_candidate {
            Version::Candidate
        } else {
            Version::Serving
        };
        take_back(&self.target, &self.target.handler, version);
    }
}

/// What follows from an attempt, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryEnd {
    Done,
    Retry,
    Defer,
    Split,
    Dead,
}

// === impl DeliveryEnd ===

impl DeliveryEnd {
    pub(crate) fn of(disposition: &Disposition) -> DeliveryEnd {
        match disposition {
            Disposition::Done(_) => DeliveryEnd::Done,
            Disposition::Retry(_) => DeliveryEnd::Retry,
            Disposition::Defer(_) => DeliveryEnd::Defer,
            Disposition::Split(_) => DeliveryEnd::Split,
            Disposition::Dead(_) => DeliveryEnd::Dead,
        }
    }

    pub(crate) fn count(self, metrics: &HookMetrics, outcome: &Outcome) {
        match self {
            DeliveryEnd::Done => {}
            DeliveryEnd::Retry => metrics.count_retry(),
            DeliveryEnd::Defer => metrics.count_deferral(),
            DeliveryEnd::Split => metrics.count_flow("split"),
            DeliveryEnd::Dead => metrics.count_dead_letter(outcome.word()),
        }
    }
}

/// The attempts of a delivery so far.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The number of the attempt that has ended, from 1. Attempts that deferred the event do not
    /// count.
    pub number: u32,
    /// How often the event has been deferred.
    pub deferrals: u32,
    /// The time since the first deferral.
    pub deferred_for: Option<Duration>,
}

/// What follows from an outcome. `chance` is a random number from 0 to 1.
pub(crate) fn next_disposition(
    outcome: &Outcome,
    results: Results,
    past: &Past,
    retry: &RetrySpec,
    chance: f64,
) -> Disposition {
    let hint = match outcome {
        Outcome::Done(_) => return Disposition::Done(results),
        Outcome::Reject { reason, .. } => {
            return Disposition::Dead(dead_reason("reject", reason));
        }
        Outcome::Defer { reason, after } => return past.deferral(reason, *after, retry, chance),
        Outcome::Retry { after, .. } => *after,
        _ => None,
    };
    match retry.pause(past.number, hint, chance) {
        Some(pause) => Disposition::Retry(pause),
        None => Disposition::Dead(dead_reason(outcome.word(), outcome.reason())),
    }
}

/// What follows from a failed attempt of a whole batch: one of its events may be at fault. `number`
/// is that of the attempt, from 1.
fn of_batch(
    disposition: Disposition,
    outcome: &Outcome,
    number: u32,
    split_after: u32,
) -> Disposition {
    match disposition {
        Disposition::Dead(why) => Disposition::Split(why),
        Disposition::Retry(_) if number >= split_after => {
            Disposition::Split(dead_reason(outcome.word(), outcome.reason()))
        }
        other => other,
    }
}

impl Past {
    fn deferral(
        &self,
        reason: &str,
        hint: Option<Duration>,
        retry: &RetrySpec,
        chance: f64,
    ) -> Disposition {
        let since = self.deferred_for.unwrap_or_default();
        match retry.deferral(self.deferrals + 1, since, hint, chance) {
            Some(pause) => Disposition::Defer(pause),
            None => {
                let max_age = humantime::format_duration(retry.max_age);
                let why = format!("deferred for longer than [retry] max_age = {max_age}: {reason}");
                Disposition::Dead(dead_reason("defer", &why))
            }
        }
    }
}

/// Whether an outcome says something of other events. A hook that emits events to itself calls
/// something else with each event, so that the failure of one says nothing of the others. The
/// outcome of a candidate says nothing of the version that serves.
fn is_judged(outcome: &Outcome, is_own: bool, is_candidate: bool) -> bool {
    let is_done = matches!(outcome, Outcome::Done(_));
    !is_candidate && (is_done || !is_own)
}

fn is_success(reply: &Reply) -> bool {
    (200..=299).contains(&reply.status)
}

/// The outcome of an attempt whose results cannot be stored.
pub(crate) fn refused_outcome(event: &Event, refused: Refused) -> Outcome {
    let outcome = match refused {
        Refused::Changed(key) => Outcome::Retry {
            reason: format!(
                "kv: `{}` was changed by another handler meanwhile",
                key.escape_debug()
            ),
            after: None,
        },
        Refused::OverQuota(why) => Outcome::OverLimit(why),
    };

    let (hook, reason) = (&*event.hook, outcome.reason());
    tracing::info!(hook, event = %event.id, reason, "the results of the attempt are not stored");
    outcome
}

fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX)
}

/// The reply to store, if duplicates of this event get it again.
fn reply_for_duplicates(event: &Event, attempt: &Attempt, target: &Target) -> Option<Vec<u8>> {
    let Outcome::Done(Some(reply)) = &attempt.outcome else {
        return None;
    };
    let is_stored =
        target.repeats_reply && is_success(reply) && reply.body.len() <= STORED_REPLY_MAX;

    is_stored.then(|| reply_format::encode(event.id, reply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::Quota;

    fn same(found: &Disposition, expected: &Disposition) -> bool {
        format!("{found:?}") == format!("{expected:?}")
    }

    #[test]
    fn each_outcome_has_its_disposition() {
        let spec = RetrySpec {
            attempts: 2,
            ..RetrySpec::default()
        };
        let of = |outcome: Outcome, number| {
            let results = Results::empty(Quota { kv: 0, rows: 0 });
            let past = Past {
                number,
                ..Past::default()
            };
            next_disposition(&outcome, results, &past, &spec, 0.5)
        };
        assert!(same(
            &of(Outcome::reject("never"), 1),
            &Disposition::Dead("reject: never".into())
        ));
        assert!(same(
            &of(Outcome::Timeout, 1),
            &Disposition::Retry(Duration::from_secs(5))
        ));
        assert!(same(
            &of(Outcome::Timeout, 2),
            &Disposition::Dead("timeout".into())
        ));
        let hinted = Outcome::Retry {
            reason: "busy".into(),
            after: Some(Duration::from_secs(60)),
        };
        assert!(same(
            &of(hinted.clone(), 1),
            &Disposition::Retry(Duration::from_secs(60))
        ));
        assert!(same(
            &of(hinted, 2),
            &Disposition::Dead("retry: busy".into())
        ));
    }

    #[test]
    fn candidates_leave_the_circuit_alone() {
        let done = Outcome::Done(None);
        assert!(!is_judged(&done, false, true));
        assert!(!is_judged(&Outcome::Timeout, false, true));
        assert!(is_judged(&done, false, false));
        assert!(is_judged(&Outcome::Timeout, false, false));
        assert!(is_judged(&done, true, false));
        assert!(!is_judged(&Outcome::Timeout, true, false));
    }

    #[test]
    fn failed_batches_are_split() {
        let retry = || Disposition::Retry(Duration::from_secs(5));
        let of = |disposition, number| of_batch(disposition, &Outcome::Timeout, number, 3);
        assert!(same(&of(retry(), 2), &retry()));
        assert!(same(&of(retry(), 3), &Disposition::Split("timeout".into())));
        let rejected = Disposition::Dead("reject: no".into());
        assert!(same(
            &of(rejected, 1),
            &Disposition::Split("reject: no".into())
        ));
    }

    #[test]
    fn deferrals_are_no_attempts() {
        let spec = RetrySpec {
            attempts: 1,
            ..RetrySpec::default()
        };
        let outcome = Outcome::Defer {
            reason: "no order yet".into(),
            after: None,
        };
        let of = |deferrals, deferred_for| {
            let results = Results::empty(Quota { kv: 0, rows: 0 });
            let past = Past {
                number: 1,
                deferrals,
                deferred_for: Some(deferred_for),
            };
            next_disposition(&outcome, results, &past, &spec, 0.5)
        };
        assert!(same(
            &of(1, Duration::from_secs(5)),
            &Disposition::Defer(Duration::from_secs(15))
        ));
        let why = "defer: deferred for longer than [retry] max_age = 7days: no order yet";
        assert!(same(&of(40, spec.max_age), &Disposition::Dead(why.into())));
    }
}
