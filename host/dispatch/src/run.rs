//! Runs one attempt under a lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_engine::{Permit, Target};
use landfall_model::clock::to_ms;
use landfall_model::{Attempt, Event, Outcome};
use tokio::sync::oneshot;

use super::dispatcher::Dispatcher;
use super::finish::RanAttempt;
use super::lease::Lease;
use super::trace::{self, AttemptStart};

impl Dispatcher {
    /// One attempt, from its lease to its end. Callers that wait are told when the end is stored;
    /// `remote` is one of another node. The permit is held until the handler has ended.
    pub(crate) async fn run(
        self: Arc<Self>,
        lease: Lease,
        permit: Permit,
        target: Target,
        replayed: bool,
        remote: Option<oneshot::Sender<Outcome>>,
    ) {
        let number = lease.attempt();
        let span = self.tracer.attempt(lease.event(), Some(lease.numbers()));
        let event = trace::within(lease.event().clone(), span.as_ref());
        let input = if replayed {
            Arc::new(marked_replayed(&event))
        } else {
            event.clone()
        };
        let (started, now) = (Instant::now(), self.clock.now());
        let started_ms = to_ms(now);
        if number == 1 && lease.deferred().count == 0 && !replayed {
            let waited = now.duration_since(event.received_at).unwrap_or_default();
            target.handler.metrics().measure_queue_wait(waited);
            self.trace_queue(lease.event(), now);
        }
        landfall_model::kill_point!("before-run");

        // In a task of its own, so that a panic of the host ends the attempt and nothing else.
        let running = {
            let (handler, deadline) = (target.handler.clone(), target.deadline);
            let attempt = async move { handler.run(input, number, deadline).await };
            target.permits.attempt_flow().spawn(attempt)
        };
        let attempt = match running.await {
            Ok(attempt) => attempt,
            Err(error) => panicked(&error, started.elapsed()),
        };
        drop(permit);
        if let Some(span) = &span {
            let start = AttemptStart {
                started,
                at: now,
                is_stored: true,
            };
            self.trace_attempt(span, &event, number, &attempt, &start);
        }
        landfall_model::kill_point!("after-run");

        let ran = RanAttempt {
            event,
            number,
            attempt,
            started_ms,
            target,
            remote,
        };
        self.finish(lease, ran).await;
    }
}

fn marked_replayed(event: &Event) -> Event {
    let mut event = event.clone();
    event.attributes.push(("replayed".into(), "true".into()));
    event
}

fn panicked(error: &tokio::task::JoinError, duration: Duration) -> Attempt {
    tracing::error!(%error, "an attempt panicked in the host");
    Attempt::of_host(
        Outcome::HostFault("a host function panicked".into()),
        duration,
    )
}
