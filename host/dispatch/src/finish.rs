//! The end of an attempt: its disposition follows from its outcome, is committed with everything that the attempt leaves, and then the
//! callers that wait are told.

use std::sync::Arc;
use std::time::Duration;

use landfall_engine::Target;
use landfall_ledger::{
    Committed, Disposition, LedgerError, NewEvent, Refused, ReplayOrder, Results,
};
use landfall_model::{Attempt, Event, EventId, Outcome, RetrySpec};
use tokio::sync::oneshot;

use super::dispatcher::Dispatcher;
use super::lease::Lease;
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
    pub target: Target,
    /// A caller at another node that waits for the reply.
    pub remote: Option<oneshot::Sender<Outcome>>,
}

impl Dispatcher {
    /// Commits the attempt. Results that cannot be stored make another outcome of it, and that is committed.
    pub(crate) async fn finish(&self, mut lease: Lease, mut done: RanAttempt) {
        let is_claimed = self.claim_refusal(&done.event, &mut done.attempt);
        record::log(&done.event, done.number, &done.attempt);
        self.counters
            .count_failed_calls(&done.event.hook, &done.attempt.calls);

        landfall_model::kill_point!("before-end");
        let effects = std::mem::take(&mut done.attempt.effects);
        let mut results = self.results(&done.event, effects, &done.target);
        loop {
            let (disposition, emitted) = self.disposition(&done, results);
            let pause = disposition.pause();
            let record = record::build(
                &done.attempt,
                done.started_ms,
                &done.target.handler.component().digest,
                &emitted,
            );
            match lease.commit(record, disposition).await {
                Ok(Committed::Stored) => {
                    self.mark_emitted_due(&emitted);
                    return self.after_commit(done, pause, is_claimed).await;
                }
                Ok(Committed::LeaseLost) => return self.after_lost_lease(&done),
                Ok(Committed::Refused(why @ Refused::Changed(_), same)) => {
                    done.attempt.outcome = refused_outcome(&done.event, why);
                    return self.after_conflict(done, same).await;
                }
                Ok(Committed::Refused(why, same)) => {
                    lease = same;
                    done.attempt.outcome = refused_outcome(&done.event, why);
                    results = Results::empty(done.target.quota);
                }
                Err(error) => return self.after_failed_commit(&done, &error),
            }
        }
    }

    /// What follows from the outcome, and the events that the attempt emits.
    fn disposition(&self, done: &RanAttempt, results: Results) -> (Disposition, Vec<NewEvent>) {
        let (outcome, retry) = (&done.attempt.outcome, &done.target.retry);
        let mut disposition = next_disposition(outcome, results, done.number, retry, chance());

        let emitted = match &mut disposition {
            Disposition::Done(results) => {
                results.reply = reply_for_duplicates(&done.event, &done.attempt, &done.target);
                results.emitted.clone()
            }
            Disposition::Retry(_) => Vec::new(),
            Disposition::Dead(why) => {
                let (hook, event, attempts) = (&*done.event.hook, done.event.id, done.number);
                tracing::error!(hook, %event, attempts, why = &**why, "delivery is dead");
                Vec::new()
            }
        };

        (disposition, emitted)
    }

    async fn after_commit(&self, done: RanAttempt, pause: Option<Duration>, is_claimed: bool) {
        let (event, hook, outcome) = (&done.event, &done.event.hook, done.attempt.outcome);
        self.counters.count_attempt(hook, &outcome);
        self.judge(event, &outcome);
        landfall_model::kill_point!("after-end");

        let is_received = self.replies.publish(event.id, &outcome);
        if is_claimed && !is_received && matches!(outcome, Outcome::Done(_)) {
            self.run_undelivered_again(event.id, hook).await;
        }
        if let Some(remote) = done.remote {
            remote.send(outcome).ok();
        }

        match pause {
            Some(pause) => self.work.mark_due_in(hook, pause),
            // The next event of the order key may run.
            None if done.target.order_of.is_some() => self.work.mark_due(hook),
            None => self.work.notify(),
        }
    }

    /// Another handler changed the same key first: the attempt does not count, and the event runs again soon.
    async fn after_conflict(&self, done: RanAttempt, lease: Lease) {
        let (event, hook) = (&done.event, &done.event.hook);
        let pause = CONFLICT_SPREAD.mul_f64(chance());
        if let Err(error) = lease.release(pause).await {
            return self.after_failed_commit(&done, &error);
        }
        self.counters.count_attempt(hook, &done.attempt.outcome);
        landfall_model::kill_point!("after-end");

        // The next attempt answers the callers that wait.
        self.replies.release(event.id);
        if let Some(remote) = done.remote {
            self.replies.adopt(event.id, remote);
        }
        self.work.mark_due_in(hook, pause);
    }

    fn after_lost_lease(&self, done: &RanAttempt) {
        let (event, hook, number) = (&done.event, &done.event.hook, done.number);
        self.counters.count_attempt(hook, &done.attempt.outcome);
        self.judge(event, &done.attempt.outcome);
        landfall_model::kill_point!("after-end");

        tracing::warn!(hook = &**hook, event = %event.id, number, "another node has the lease: the results of the attempt are dropped");
        self.replies.forget(event.id);
        self.work.mark_due(hook);
    }

    fn after_failed_commit(&self, done: &RanAttempt, error: &LedgerError) {
        let (event, hook) = (&done.event, &done.event.hook);
        self.counters.count_attempt(hook, &done.attempt.outcome);
        landfall_model::kill_point!("after-end");

        self.replies.forget(event.id);
        tracing::error!(hook = &**hook, event = %event.id, %error, "the result of an attempt cannot be stored: the event runs again");
    }

    /// Tells the circuit of the hook how the attempt ended. A hook that emits events to itself calls something else with each event, so
    /// that the failure of one says nothing of the others.
    fn judge(&self, event: &Event, outcome: &Outcome) {
        let is_own = event.attribute("emitted-by") == Some(&*event.hook);
        if !is_own || matches!(outcome, Outcome::Done(_)) {
            self.gate.record_outcome(&event.hook, outcome);
        }
    }

    /// Decides what a reply that refuses the event means. If a caller waits for it, the caller receives the refusal, and this returns true.
    /// Otherwise the sender already has a 2xx and will not send the event again, so the reply becomes a failed outcome, as for a plain
    /// `wasi:http` component.
    fn claim_refusal(&self, event: &Event, attempt: &mut Attempt) -> bool {
        let Outcome::Done(reply) = &attempt.outcome else {
            return false;
        };
        let Some(failed) = Outcome::of_undelivered_response(reply.status, &reply.headers) else {
            return false;
        };
        if self.replies.claim(event.id) {
            return true;
        }

        attempt.outcome = failed;
        false
    }

    /// Runs an event again that ended as done with a refusal which no caller received. If the handler refuses it again, the event is
    /// retried or dead, since no caller waits for it.
    pub(crate) async fn run_undelivered_again(&self, event: EventId, hook: &Arc<str>) {
        let order = ReplayOrder {
            events: vec![(event, None)],
            delay: Duration::ZERO,
            apart: Duration::ZERO,
            again: false,
            dry_run: false,
        };
        match self.ledger().replay(order).await {
            Ok(_) => {
                tracing::warn!(
                    hook = &**hook, event = %event,
                    "the caller hung up before the handler's refusal was sent: the event runs again"
                );
                self.work.mark_due(hook);
            }
            Err(error) => {
                tracing::error!(
                    hook = &**hook, event = %event, %error,
                    "the caller hung up before the handler's refusal was sent, and the event cannot run again: replay it"
                );
            }
        }
    }
}

/// What follows from an outcome. `number` counts the attempts from 1; `chance` is a random number from 0 to 1.
pub(crate) fn next_disposition(
    outcome: &Outcome,
    results: Results,
    number: u32,
    retry: &RetrySpec,
    chance: f64,
) -> Disposition {
    let hint = match outcome {
        Outcome::Done(_) => return Disposition::Done(results),
        Outcome::Reject(reason) => return Disposition::Dead(dead_reason("reject", reason)),
        Outcome::Retry { after, .. } => *after,
        _ => None,
    };
    match retry.pause(number, hint, chance) {
        Some(pause) => Disposition::Retry(pause),
        None => Disposition::Dead(dead_reason(outcome.word(), outcome.reason())),
    }
}

fn dead_reason(word: &str, reason: &str) -> String {
    if reason.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {reason}")
    }
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
    let Outcome::Done(reply) = &attempt.outcome else {
        return None;
    };
    let is_stored = target.repeats_reply
        && (200..=299).contains(&reply.status)
        && reply.body.len() <= STORED_REPLY_MAX;

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
            next_disposition(&outcome, results, number, &spec, 0.5)
        };
        assert!(same(
            &of(Outcome::Reject("never".into()), 1),
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
}
