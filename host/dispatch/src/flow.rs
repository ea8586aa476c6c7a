//! What the flow of a hook makes of its events (docs/FLOW.md): which do not run, and
//! which wait.

use std::sync::Arc;

use landfall_flow::{Flow, Verdict, filtered_place};
use landfall_model::{Admission, Event, EventId};

use super::dispatcher::Dispatcher;
use super::lease::Lease;

impl Dispatcher {
    /// What the flow of its hook makes of a new event.
    pub fn admit(&self, flow: &Flow, event: &Event) -> Admission {
        match flow.filter(event) {
            Verdict::Runs => {}
            Verdict::Filtered(why) => return Admission::Filtered(why),
            Verdict::Undecided(why) => {
                let hook = &*event.hook;
                tracing::warn!(hook, event = %event.id, why, "the filter cannot decide: the event is not filtered");
                self.count_flow(&event.hook, "undecided");
            }
        }

        // A broker would carry the event past the others.
        match flow.hold(event) {
            Some(hold) if self.work.broker().is_none() => Admission::Hold(hold),
            _ => Admission::Run,
        }
    }

    /// Logs what the flow of its hook makes of a stored event. The ledger decides whether an event
    /// waits, and counts that (`Work::count_flow`).
    pub(crate) fn record_admission(&self, hook: &Arc<str>, event: EventId, admission: &Admission) {
        match admission {
            Admission::Run => {}
            Admission::Filtered(why) => {
                // The reason has the value, which is data of the sender.
                let place = filtered_place(why);
                tracing::info!(hook = &**hook, %event, place, "the event is filtered: it does not run");
            }
            Admission::Hold(_) => {
                tracing::debug!(hook = &**hook, %event, "the event waits, unless the hook has too many open groups");
            }
        }
    }

    /// The batch of this lease does not run: its events run alone.
    pub(crate) async fn split(&self, lease: Lease, why: &str) {
        let hook = lease.event().hook.clone();
        tracing::info!(hook = &*hook, event = %lease.event().id, why, "the batch is split: its events run alone");
        self.count_flow(&hook, "split");
        if let Err(error) = lease.split_batch(why).await {
            tracing::error!(%error, hook = &*hook, "a batch cannot be split: it waits for the end of its lease");
        }
        self.work.mark_due(&hook);
    }

    fn count_flow(&self, hook: &Arc<str>, step: &str) {
        if let Some(metrics) = self.metrics.find(hook) {
            metrics.count_flow(step);
        }
    }
}
