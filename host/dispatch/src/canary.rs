//! Which version of a component runs an attempt. While a hook has a canary, a share of its events
//! runs on the candidate, and both versions are counted over the same time.
//!
//! An event belongs to one version by its id, so that its retries run on the same one. Two rules keep
//! a bad candidate from failing events: an attempt that failed on it without an outbound call is run
//! again by the serving version, and the last attempt of several always runs there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_candidate::Version;
use landfall_engine::{Candidate, Handler, Target};
use landfall_model::{Attempt, Event, LogLine, Outcome, Trial};

use super::dead_reason::dead_reason;
use super::panics::{caught, panicked, text_of};
use super::shadow::Shadows;

/// An attempt that is to run.
pub(crate) struct NextRun<'a> {
    pub(crate) target: &'a Target,
    pub(crate) event: Arc<Event>,
    /// From 1.
    pub(crate) number: u32,
    /// The limit of the attempt.
    pub(crate) limit: Duration,
    /// The caller waits for the outcome, and there is no other attempt (mode `sync`).
    pub(crate) is_sync: bool,
}

/// An attempt that has run, and the version that its outcome is of.
pub(crate) struct Ran {
    pub(crate) attempt: Attempt,
    pub(crate) handler: Arc<Handler>,
    pub(crate) version: Version,
    /// The candidate failed, and the serving version ran again.
    pub(crate) is_repeated: bool,
}

// === impl NextRun ===

impl NextRun<'_> {
    /// Runs the attempt on the version that the event belongs to. If the candidate is a shadow, it
    /// repeats the attempt later.
    pub(crate) async fn run(self, shadows: &Shadows) -> Ran {
        let Some(candidate) = self.target.candidate.get() else {
            let NextRun {
                target,
                event,
                number,
                limit,
                ..
            } = self;
            let attempt = target.handler.run(event, number, limit).await;
            return Ran::serving(target, attempt);
        };

        if candidate.trial == Trial::Shadow {
            return Box::pin(self.with_shadow(candidate, shadows)).await;
        }
        if self.is_last() || !candidate.takes(&self.event.id) {
            let attempt = self.on_serving(&candidate, self.limit).await;
            return Ran::serving(self.target, attempt);
        }
        Box::pin(self.on_candidate(candidate)).await
    }

    /// A delivery that fails now is dead. An only attempt is as good as a first one: otherwise hooks
    /// without retries could have no canary.
    fn is_last(&self) -> bool {
        !self.is_sync && self.number > 1 && self.number >= self.target.retry.attempts
    }

    async fn on_candidate(self, candidate: Arc<Candidate>) -> Ran {
        let started = Instant::now();
        // Time is left for the serving version if the candidate does not end.
        let first_limit = if self.is_sync {
            self.limit / 2
        } else {
            self.limit
        };
        let handler = candidate.handler.clone();
        let run = async {
            landfall_model::kill_point!("candidate-runs");
            let event = self.event.clone();
            handler.run(event, self.number, first_limit).await
        };
        let (attempt, has_panicked) = match caught(run).await {
            Ok(attempt) => (attempt, false),
            Err(panic) => (panicked(&text_of(&*panic), started.elapsed()), true),
        };
        let outcome = &attempt.outcome;
        candidate.count(Version::Candidate, outcome, attempt.duration);
        let metrics = self.target.handler.metrics();
        metrics.count_candidate_attempt(outcome.word());

        let left = self.limit.saturating_sub(started.elapsed());
        // After a panic, it is not known which calls were made.
        if has_panicked || !may_run_again(&attempt) || left.is_zero() {
            return Ran {
                attempt,
                handler,
                version: Version::Candidate,
                is_repeated: false,
            };
        }

        metrics.count_candidate_rerun();
        let digest = &handler.component().digest;
        let (hook, event) = (&*self.event.hook, self.event.id);
        let (outcome, reason) = (outcome.word(), outcome.reason());
        tracing::warn!(hook, %event, digest, outcome, reason, "the candidate failed: the serving version runs the event");
        let why = dead_reason(outcome, reason);
        let line = LogLine {
            level: "warn",
            text: format!("the candidate {digest} failed before: {why}"),
        };
        let mut again = self.on_serving(&candidate, left).await;
        again.log.insert(0, line);
        Ran {
            is_repeated: true,
            ..Ran::serving(self.target, again)
        }
    }

    async fn with_shadow(self, candidate: Arc<Candidate>, shadows: &Shadows) -> Ran {
        let NextRun {
            target,
            event,
            number,
            limit,
            ..
        } = self;
        let handler = &target.handler;
        let Some(place) = shadows.reserve(&event.hook, &candidate, event.body.len()) else {
            candidate.drop_shadow();
            handler.metrics().count_shadow_run("dropped");
            let attempt = handler.run(event, number, limit).await;
            return Ran::serving(target, attempt);
        };

        let run = handler.run_and_record(event.clone(), number, limit);
        let mut attempt = run.await;
        place.repeat(candidate, target, event, &mut attempt, limit);
        Ran::serving(target, attempt)
    }

    async fn on_serving(&self, candidate: &Candidate, limit: Duration) -> Attempt {
        let (handler, started) = (&self.target.handler, Instant::now());
        let run = handler.run(self.event.clone(), self.number, limit);
        let attempt = match caught(run).await {
            Ok(attempt) => attempt,
            Err(panic) => panicked(&text_of(&*panic), started.elapsed()),
        };
        candidate.count(Version::Serving, &attempt.outcome, attempt.duration);
        attempt
    }
}

// === impl Ran ===

impl Ran {
    /// An attempt of the version that serves.
    pub(crate) fn serving(target: &Target, attempt: Attempt) -> Ran {
        Ran {
            attempt,
            handler: target.handler.clone(),
            version: Version::Serving,
            is_repeated: false,
        }
    }
}

/// Counts a successful attempt as failed, because its results could not be stored. `handler` has
/// run it.
pub(crate) fn take_back(target: &Target, handler: &Arc<Handler>, version: Version) {
    let Some(candidate) = target.candidate.get() else {
        return;
    };
    // Another candidate may be tried now.
    if version == Version::Serving || Arc::ptr_eq(&candidate.handler, handler) {
        candidate.take_back(version);
    }
}

/// Whether a failed attempt has left nothing. What it staged is not applied, so only an outbound
/// call can have had an effect.
fn may_run_again(attempt: &Attempt) -> bool {
    let is_failure = match &attempt.outcome {
        Outcome::Done(_) | Outcome::Defer { .. } | Outcome::Reject { .. } => false,
        Outcome::Retry { .. }
        | Outcome::Trap(_)
        | Outcome::Timeout
        | Outcome::OutOfMemory
        | Outcome::OverLimit(_)
        | Outcome::BadReply(_)
        | Outcome::HostFault(_) => true,
    };
    is_failure && attempt.http_calls == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_with_calls_run_once() {
        let of = |outcome, http_calls| Attempt {
            http_calls,
            ..Attempt::of_host(outcome, Duration::ZERO)
        };
        assert!(may_run_again(&of(Outcome::Trap("unreachable".into()), 0)));
        assert!(may_run_again(&of(Outcome::Timeout, 0)));
        assert!(!may_run_again(&of(Outcome::Timeout, 1)));
        assert!(!may_run_again(&of(Outcome::Done(None), 0)));
        assert!(!may_run_again(&of(Outcome::reject("never"), 0)));
    }
}
