//! Runs one attempt under a lease.

use std::sync::Arc;
use std::time::Instant;

use landfall_candidate::Version;
use landfall_engine::{Permit, Target};
use landfall_model::clock::to_ms;
use landfall_model::{Event, Outcome};
use tokio::sync::oneshot;

use super::canary::{NextRun, Ran};
use super::dispatcher::Dispatcher;
use super::finish::RanAttempt;
use super::lease::Lease;
use super::panics::panicked;
use super::trace::{self, AttemptStart};

impl Dispatcher {
    /// One attempt, from its lease to its end. Callers that wait are told when the end is stored;
    /// `remote` is one of another node. The permit is held until the handler has ended.
    pub(crate) async fn run(
        self: Arc<Self>,
        lease: Lease,
        permit: Permit,
        mut target: Target,
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
        let (is_batch, input) = (lease.is_batch(), lease.input(input));
        let event = with_hops_of(event, &input);
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
            let (target, dispatcher) = (target.clone(), self.clone());
            let flow = target.permits.attempt_flow().clone();
            let attempt = async move {
                let next = NextRun {
                    event: input,
                    number,
                    limit: target.deadline,
                    is_sync: false,
                    target: &target,
                };
                next.run(&dispatcher.shadows).await
            };
            flow.spawn(attempt)
        };
        let Ran {
            attempt,
            handler,
            version,
            ..
        } = match running.await {
            Ok(ran) => ran,
            Err(error) => {
                let attempt = panicked(&error.to_string(), started.elapsed());
                Ran::serving(&target, attempt)
            }
        };
        target.handler = handler;
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
            is_candidate: version == Version::Candidate,
            is_batch,
            remote,
        };
        self.finish(lease, ran).await;
    }
}

/// The event with as many hops as the batch that it carries, so that its emissions count from there.
fn with_hops_of(event: Arc<Event>, batch: &Event) -> Arc<Event> {
    const HOPS: &str = "hops";
    if event.attribute(HOPS) == batch.attribute(HOPS) {
        return event;
    }

    let mut changed = Event::clone(&event);
    changed.attributes.retain(|(name, _)| name != HOPS);
    let hops = batch.attribute(HOPS).unwrap_or_default();
    changed.attributes.push((HOPS.into(), hops.into()));
    Arc::new(changed)
}

fn marked_replayed(event: &Event) -> Event {
    let mut event = event.clone();
    event.attributes.push(("replayed".into(), "true".into()));
    event
}
