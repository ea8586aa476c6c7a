//! What there is to run: due deliveries, the leases that this node holds, and the messages of the
//! broker. `Work::accept` decides whether an event goes to the ledger or to the broker.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use landfall_broker::Broker;
use landfall_ledger::{
    Accepted, Claimed, Deferred, Fence, FlowCount, FlowStep, Ledger, LedgerError, NewEvent,
    OpenState,
};
use landfall_metrics::Metrics;
use landfall_model::{Admission, Clock, Corrupt, Event, LedgerTime};
use tokio::sync::Notify;

use super::broker_queue::{BrokerQueue, InFlight};
use super::due::DueHooks;
use super::error::DispatchError;
use super::lease::{Lease, Leases};
use super::unheld::UnheldLog;

/// Deliveries that could not be claimed are claimed again after this.
const CLAIM_AGAIN: Duration = Duration::from_secs(1);
/// A delivery whose event this node cannot decrypt is left to the other nodes for so long.
const DECRYPT_AGAIN: Duration = Duration::from_secs(5);

/// The work of one node.
pub(crate) struct Work {
    ledger: Arc<dyn Ledger>,
    leases: Leases,
    due: DueHooks,
    broker: Option<Arc<BrokerQueue>>,
    metrics: Arc<Metrics>,
    unheld: UnheldLog,
    repair: Notify,
}

/// A delivery to run now.
pub(crate) struct DueDelivery {
    pub lease: Lease,
    /// The delivery is a replay.
    pub replayed: bool,
}

// === impl Work ===

impl Work {
    /// Reads from the ledger what an earlier start has left to do.
    pub(crate) async fn start(
        ledger: Arc<dyn Ledger>,
        broker: Option<Arc<dyn Broker>>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Work, LedgerError> {
        let queue = |broker| Arc::new(BrokerQueue::new(ledger.clone(), broker, clock));
        let work = Work {
            broker: broker.map(queue),
            ledger,
            leases: Leases::default(),
            due: DueHooks::default(),
            metrics,
            unheld: UnheldLog::default(),
            repair: Notify::new(),
        };
        work.look().await?;
        Ok(work)
    }

    pub(crate) fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    pub(crate) fn broker(&self) -> Option<&Arc<BrokerQueue>> {
        self.broker.as_ref()
    }

    pub(crate) fn leases(&self) -> usize {
        self.leases.len()
    }

    /// Whether events can be accepted, as far as is known.
    pub(crate) fn can_accept(&self) -> bool {
        let broker = self.broker.as_ref();
        self.ledger.can_accept() && broker.is_none_or(|queue| queue.broker().is_available())
    }

    /// Why the ledger accepts no events, if so.
    pub(crate) fn refusal(&self) -> Option<LedgerError> {
        self.ledger.refusal()
    }

    /// Stores an event, unless `cancelled` becomes true before that is begun. Must be awaited to
    /// its end. The lease, if this node is to run the event at once.
    pub(crate) async fn accept(
        &self,
        new: NewEvent,
        cancelled: Arc<AtomicBool>,
    ) -> Result<(Accepted, Option<Lease>), DispatchError> {
        // An event that does not run needs no broker.
        let is_filtered = matches!(new.admission, Admission::Filtered(_));
        if let Some(queue) = &self.broker
            && !is_filtered
        {
            return Ok((queue.accept(new, cancelled).await?, None));
        }

        let hook = new.stored.event().hook.clone();
        // Only what starts at once gets a lease.
        let event = new.run_now.then(|| new.stored.event().clone());
        let accepted = self.ledger.accept(new, cancelled).await?;
        self.count_flow();
        match &accepted {
            Accepted::New {
                fence: Some(fence), ..
            } => {
                let lease = event.map(|event| self.lease(*fence, Deferred::default(), event, None));
                return Ok((accepted, lease));
            }
            Accepted::New { fence: None, .. } if is_filtered => {}
            Accepted::New { fence: None, .. }
            | Accepted::Joined {
                state: OpenState::Replayed,
                ..
            } => self.mark_due(&hook),
            Accepted::Joined { .. } | Accepted::Duplicate { .. } => {}
        }

        Ok((accepted, None))
    }

    /// Holds the lease of an event.
    pub(crate) fn lease(
        &self,
        fence: Fence,
        deferred: Deferred,
        event: Event,
        message: Option<InFlight>,
    ) -> Lease {
        self.leases
            .register(fence, deferred, event, &self.ledger, message)
    }

    /// A delivery of this hook may be due now.
    pub(crate) fn mark_due(&self, hook: &Arc<str>) {
        self.due.mark_due(hook, self.ledger.now());
    }

    /// A delivery of this hook may be due after this time.
    pub(crate) fn mark_due_in(&self, hook: &Arc<str>, time: Duration) {
        self.due.mark_due(hook, self.ledger.now().plus(time));
    }

    /// The hooks that may have something due now, in no order.
    pub(crate) fn hooks_due(&self) -> Vec<Arc<str>> {
        self.due.due_at(self.ledger.now())
    }

    /// An attempt has ended, so that a permit is free: wakes the scheduler if a hook has work.
    pub(crate) fn notify_of_permit(&self) {
        self.due.notify_if_marked();
    }

    /// Wakes the scheduler.
    pub(crate) fn notify(&self) {
        self.due.notify();
    }

    /// Returns when something may be due, when the scheduler is woken, or after `longest`.
    pub(crate) async fn wait(&self, longest: Duration) {
        self.due.wait(self.ledger.now(), longest).await;
    }

    /// Asks the ledger what is due. This also finds deliveries that were not marked, or were marked
    /// too early.
    pub(crate) async fn look(&self) -> Result<(), LedgerError> {
        let found = self.ledger.hooks_with_work().await?;
        self.due
            .mark_all(found.into_iter().map(|(hook, at)| (hook.into(), at)));
        Ok(())
    }

    /// The hooks with work, whenever that is due.
    pub(crate) async fn hooks_with_work(&self) -> Result<Vec<Arc<str>>, LedgerError> {
        let found = self.ledger.hooks_with_work().await?;
        Ok(found.into_iter().map(|(hook, _)| hook.into()).collect())
    }

    /// Claims due deliveries: of each hook up to its number.
    pub(crate) async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<DueDelivery>)>, LedgerError> {
        let names: Vec<Arc<str>> = hooks.iter().map(|(hook, _)| hook.clone()).collect();
        self.due.clear(&names);
        let claims = self.ledger.claim(hooks).await;
        // Groups may have been closed even if nothing was claimed.
        self.count_flow();
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => {
                for hook in &names {
                    self.mark_due_in(hook, CLAIM_AGAIN);
                }
                return Err(error);
            }
        };
        landfall_model::kill_point!("claimed");

        let mut all = Vec::with_capacity(claims.len());
        for (hook, claimed, next) in claims {
            all.push((hook.clone(), self.runnable(&hook, claimed, next).await));
        }
        Ok(all)
    }

    async fn runnable(
        &self,
        hook: &Arc<str>,
        claimed: Vec<Claimed>,
        next: Option<LedgerTime>,
    ) -> Vec<DueDelivery> {
        if let Some(next) = next {
            self.due.mark_due(hook, next);
        }

        let mut due = Vec::with_capacity(claimed.len());
        for one in claimed {
            let Claimed {
                fence,
                deferred,
                event,
                replayed,
                members,
                ..
            } = one;
            let members = readable(members);
            let needs_key = event.iter().flatten().any(Event::is_sealed)
                || members.iter().flatten().any(|member| member.is_sealed());
            if needs_key {
                self.leave_sealed(hook, fence).await;
                continue;
            }
            match event {
                Some(Ok(event)) if members.is_some() => {
                    let lease = self.lease(fence, deferred, event, None);
                    due.push(DueDelivery {
                        lease: lease.with_members(members.unwrap_or_default()),
                        replayed,
                    });
                }
                // What cannot be read is found when each event runs alone.
                Some(Ok(_)) => self.split_unread(hook, fence).await,
                Some(Err(_)) => self.end_unread(hook, fence, "corrupt").await,
                None => self.end_unread(hook, fence, "pruned").await,
            }
        }
        due
    }

    /// Counts what the flow of hooks has done in committed transactions since the last call, and
    /// logs the limit of open groups. A damaged group calls for the repair.
    pub(crate) fn count_flow(&self) {
        for FlowCount { hook, step, count } in self.ledger.take_flow_counts() {
            let hook: Arc<str> = hook.into();
            if let Some(metrics) = self.metrics.find(&hook) {
                metrics.count_flows(step.word(), count);
            }
            match step {
                FlowStep::Unheld => self.log_unheld(&hook, count),
                FlowStep::Damaged => self.repair.notify_one(),
                FlowStep::Filtered | FlowStep::Debounced | FlowStep::Batched => {}
            }
        }
    }

    fn log_unheld(&self, hook: &Arc<str>, count: usize) {
        if let Some(count) = self.unheld.count(hook, count, Instant::now()) {
            tracing::warn!(
                hook = &**hook,
                count,
                "the hook has as many open groups as it may have: events do not wait for others"
            );
        }
    }

    /// Returns when a damaged group was found, or after this time.
    pub(crate) async fn wait_for_repair(&self, longest: Duration) {
        tokio::time::timeout(longest, self.repair.notified())
            .await
            .ok();
    }

    /// Gives back a delivery whose event is encrypted with a key that this node does not have.
    async fn leave_sealed(&self, hook: &Arc<str>, fence: Fence) {
        tracing::error!(
            hook = &**hook,
            delivery = fence.delivery,
            "an event is encrypted with a key that ledger.encryption_keys of this node does not have: it waits"
        );
        if let Err(error) = self.ledger.release(vec![fence], DECRYPT_AGAIN).await {
            tracing::error!(%error, delivery = fence.delivery, "a delivery cannot be given back");
        }
        self.mark_due_in(hook, DECRYPT_AGAIN);
    }

    /// Makes a dead letter of a delivery whose event cannot be read.
    async fn end_unread(&self, hook: &Arc<str>, fence: Fence, why: &'static str) {
        tracing::error!(
            hook = &**hook,
            delivery = fence.delivery,
            why,
            "an event cannot be read back: it is dead"
        );
        match self.ledger.dead_letter_unreadable(fence, why.into()).await {
            Ok(()) => {
                if let Some(metrics) = self.metrics.find(hook) {
                    metrics.count_dead_letter("unread");
                }
            }
            Err(error) => {
                tracing::error!(%error, delivery = fence.delivery, "a delivery cannot be ended");
            }
        }
    }

    /// Splits a batch with an event that cannot be read.
    async fn split_unread(&self, hook: &Arc<str>, fence: Fence) {
        let why = "an event of the batch cannot be read back: its events run alone";
        tracing::error!(hook = &**hook, delivery = fence.delivery, why);
        if let Err(error) = self.ledger.split(fence, why.into()).await {
            tracing::error!(%error, delivery = fence.delivery, "a batch cannot be split");
        }
        self.mark_due(hook);
    }

    /// Publishes what the ledger has due, except of paused hooks. The number of published events.
    pub(crate) async fn hand_over(
        &self,
        queue: &BrokerQueue,
        is_paused: impl Fn(&Arc<str>) -> bool,
    ) -> Result<usize, LedgerError> {
        let mut hooks = self.hooks_due();
        hooks.retain(|hook| !is_paused(hook));
        if hooks.is_empty() || !queue.broker().is_available() {
            return Ok(0);
        }

        self.due.clear(&hooks);
        let (taken, _) = queue.hand_over(hooks.clone()).await?;
        // There may be more of these hooks.
        if taken > 0 {
            for hook in &hooks {
                self.mark_due(hook);
            }
        }
        Ok(taken)
    }

    /// Extends every lease of this node and frees those of others that have run out. The number of
    /// freed leases.
    pub(crate) async fn heartbeat(&self) -> Result<usize, LedgerError> {
        self.ledger.heartbeat(self.leases.fences()).await
    }

    /// Gives every lease back, as if its attempt had not begun. The number of leases.
    pub(crate) async fn release_all(&self) -> Result<usize, LedgerError> {
        let held = self.leases.drain();
        let count = held.len();
        self.ledger.release(held, Duration::ZERO).await?;
        if let Some(queue) = &self.broker {
            queue.release_all().await;
        }
        Ok(count)
    }
}

/// The events of a batch beside its first one. `None`: one of them cannot be read.
fn readable(members: Vec<Option<Result<Event, Corrupt>>>) -> Option<Vec<Arc<Event>>> {
    members
        .into_iter()
        .map(|event| Some(Arc::new(event?.ok()?)))
        .collect()
}
