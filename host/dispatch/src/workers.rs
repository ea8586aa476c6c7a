//! Runs what is due: claims within the places of each hook, one attempt a lease, and ends the lease by its outcome.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::settle::Settled;
use super::{Delivery, record};
use landfall_broker::Lease;
use landfall_engine::{Slot, Target};
use landfall_ledger::{LedgerError, ReplayOrder, SHARED_BEAT};
use landfall_model::clock::to_ms;
use landfall_model::{Attempt, Event, EventId, Outcome};

/// Of one hook in one round, so that every hook gets its turn.
const ROUND_MAX: usize = 16;
/// Polling is the truth; bells only make it quick.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// A node that never lives for a minute lets go of things too.
const PRUNE_FIRST: Duration = Duration::from_secs(5);
const BEAT_EVERY: Duration = Duration::from_secs(10);

impl Delivery {
    /// Claims and starts attempts until the process stops.
    pub async fn dispatch_for_ever(self: Arc<Self>) {
        let mut looked = Instant::now();
        loop {
            self.queue.wait(LOOK_EVERY).await;
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                if let Err(error) = self.queue.look().await {
                    tracing::error!(%error, "the ledger cannot be asked for what is due");
                }
            }
            loop {
                if self.is_stopping.load(Ordering::Relaxed) {
                    return;
                }
                let round = match self.queue.broker() {
                    None => self.round().await,
                    Some(_) => self.queue.hand_over(|hook| self.is_held(hook)).await,
                };
                match round {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, "nothing can be claimed");
                        tokio::time::sleep(LOOK_EVERY).await;
                        break;
                    }
                }
            }
        }
    }

    /// Looks at once where another node says that it has queued something.
    pub async fn hear_for_ever(self: Arc<Self>) {
        let Some(mut hints) = self.queue.ledger().hints() else {
            return;
        };
        while let Some(hook) = hints.recv().await {
            self.queue.is_due(&hook.into(), self.queue.ledger().now());
        }
    }

    /// Extends the leases of what runs, until the process stops.
    pub async fn beat_for_ever(self: Arc<Self>) {
        let beat_every = if self.queue.ledger().is_shared() {
            SHARED_BEAT
        } else {
            BEAT_EVERY
        };
        loop {
            // After an outage, leases are extended soon.
            tokio::time::sleep(if self.can_accept() {
                beat_every
            } else {
                LOOK_EVERY
            })
            .await;
            match self.queue.beat().await {
                Ok(0) => {}
                Ok(freed) => {
                    tracing::warn!(freed, "leases have run out: their deliveries are run again");
                    if let Err(error) = self.queue.look().await {
                        tracing::error!(%error, "the ledger cannot be asked for what is due");
                    }
                    self.queue.ring();
                }
                Err(error) => tracing::error!(%error, "leases cannot be held"),
            }
            if self.queue.ledger().is_shared()
                && let Err(error) = self.remember_pauses().await
            {
                tracing::error!(%error, "the ledger cannot be asked which hooks are paused");
            }
        }
    }

    /// Lets go of what is old, until the process stops.
    pub async fn prune_for_ever(self: Arc<Self>) {
        let mut pause = PRUNE_FIRST;
        loop {
            tokio::time::sleep(pause).await;
            pause = PRUNE_EVERY;
            match self.queue.ledger().prune().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "old deliveries and ids are no longer kept"),
                Err(error) => tracing::error!(%error, "old deliveries cannot be let go of"),
            }
        }
    }

    /// Claims no more; what runs may go on.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.queue.ring();
    }

    /// One look at every hook that may have something due. How many attempts were started.
    async fn round(self: &Arc<Self>) -> Result<usize, LedgerError> {
        let mut places: HashMap<Arc<str>, (Target, Vec<Slot>)> = HashMap::new();
        for hook in self.queue.hooks_due() {
            // A hook that is not there, or has nothing to run, burns no attempts: its events wait.
            let Some(target) = self.targets.find(&hook) else {
                continue;
            };
            let mut slots: Vec<Slot> = std::iter::from_fn(|| target.slots.try_acquire())
                .take(ROUND_MAX)
                .collect();
            let allowed = self.begin(&hook, &target, slots.len());
            slots.truncate(allowed);
            if !slots.is_empty() {
                places.insert(hook, (target, slots));
            }
        }
        if places.is_empty() {
            return Ok(0);
        }
        let asked = places
            .iter()
            .map(|(hook, (_, slots))| (hook.clone(), slots.len()))
            .collect();
        let mut started = 0;
        for (hook, due) in self.queue.claim(asked).await? {
            let Some((target, mut slots)) = places.remove(&hook) else {
                continue;
            };
            for one in due {
                let Some(slot) = slots.pop() else { break };
                tokio::spawn(
                    self.clone()
                        .run(one.lease, slot, target.clone(), one.replayed, None),
                );
                started += 1;
            }
            self.not_begun(&hook, slots.len());
        }
        Ok(started)
    }

    /// One attempt, from its lease to its end. Callers that wait are told when the end is stored; `remote` is one of another node.
    pub(super) async fn run(
        self: Arc<Self>,
        lease: Lease,
        slot: Slot,
        target: Target,
        replayed: bool,
        remote: Option<oneshot::Sender<Outcome>>,
    ) {
        let (event, number) = (lease.event().clone(), lease.attempt());
        let hook = event.hook.clone();
        let shown = if replayed {
            Arc::new(marked(&event))
        } else {
            event.clone()
        };
        let (started, started_ms) = (Instant::now(), to_ms(self.clock.now()));
        landfall_model::kill_point!("before-run");
        let running = {
            let (handler, deadline) = (target.handler.clone(), target.deadline);
            tokio::spawn(async move { handler.run(shown, number, deadline).await })
        };
        let mut attempt = match running.await {
            Ok(attempt) => attempt,
            Err(error) => panicked(&error, started.elapsed()),
        };
        drop(slot);
        landfall_model::kill_point!("after-run");
        let is_claimed = self.claim_refusal(&event, &mut attempt);
        record::write(&event, number, &attempt);
        self.count_failed_calls(&hook, &attempt.calls);
        let settled = self
            .settle(lease, &event, &mut attempt, started_ms, &target)
            .await;
        self.count(&hook, &attempt.outcome);
        if settled.as_ref().is_ok_and(|settled| settled.counts) {
            // A hook that hands events to itself calls something else with each: one that is down says nothing of the others.
            let is_own = event.attribute("emitted-by") == Some(&*hook);
            if !is_own || matches!(attempt.outcome, Outcome::Done(_)) {
                self.ended(&hook, &attempt.outcome);
            }
        }
        landfall_model::kill_point!("after-end");
        let now = self.queue.ledger().now();
        match settled {
            Ok(Settled {
                is_kept: true,
                pause,
                counts: true,
            }) => {
                let is_heard = self.waiters.tell(event.id, &attempt.outcome);
                if is_claimed && !is_heard && matches!(attempt.outcome, Outcome::Done(_)) {
                    self.run_unheard_again(event.id, &hook).await;
                }
                if let Some(remote) = remote {
                    remote.send(attempt.outcome).ok();
                }
                match pause {
                    Some(pause) => self.queue.is_due(&hook, now.plus(pause)),
                    None if target.order_of.is_some() => self.queue.is_due(&hook, now),
                    None => self.queue.ring(),
                }
            }
            Ok(Settled {
                is_kept: true,
                pause,
                counts: false,
            }) => {
                // The next attempt answers those who wait.
                self.waiters.release(event.id);
                if let Some(remote) = remote {
                    self.waiters.adopt(event.id, remote);
                }
                self.queue
                    .is_due(&hook, now.plus(pause.unwrap_or_default()));
            }
            Ok(Settled { is_kept: false, .. }) => {
                tracing::warn!(hook = &*hook, event = %event.id, number, "the lease was lost: what the attempt left is dropped");
                self.waiters.forget(event.id);
                self.queue.is_due(&hook, now);
            }
            Err(error) => {
                self.waiters.forget(event.id);
                tracing::error!(hook = &*hook, event = %event.id, %error, "the end of an attempt cannot be kept: it will be run again");
            }
        }
    }
}

impl Delivery {
    /// A reply that refuses the event and reaches no caller is no success: the sender has its 2xx and will not send again. It means
    /// what the response of a plain `wasi:http` component means. True: the reply refuses the event, and a caller waits for it.
    fn claim_refusal(&self, event: &Event, attempt: &mut Attempt) -> bool {
        let Outcome::Done(reply) = &attempt.outcome else {
            return false;
        };
        let Some(failed) = Outcome::of_unheard_response(reply.status, &reply.headers) else {
            return false;
        };
        if self.waiters.claim(event.id) {
            return true;
        }
        attempt.outcome = failed;
        false
    }

    /// The caller hung up before it got the handler's refusal of this event.
    pub fn refusal_is_unheard(self: &Arc<Self>, event: EventId, hook: &Arc<str>) {
        let (delivery, hook) = (self.clone(), hook.clone());
        tokio::spawn(async move { delivery.run_unheard_again(event, &hook).await });
    }

    /// No caller knows that the event was refused, and it has ended as done: it runs again. Its next refusal is tried again or dead,
    /// since no caller waits for it.
    async fn run_unheard_again(&self, event: EventId, hook: &Arc<str>) {
        let order = ReplayOrder {
            events: vec![event],
            delay: Duration::ZERO,
            apart: Duration::ZERO,
            again: false,
        };
        match self.queue.ledger().replay(order).await {
            Ok(_) => {
                tracing::warn!(
                    hook = &**hook, event = %event,
                    "the caller hung up before the handler's refusal was sent: the event runs again"
                );
                self.queue.is_due(hook, self.queue.ledger().now());
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

fn marked(event: &Event) -> Event {
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
