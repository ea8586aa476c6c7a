//! Runs what is due: claims within the places of each hook, one attempt a lease, and ends the lease by its outcome.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Delivery;
use super::finish::RanAttempt;
use landfall_broker::Lease;
use landfall_engine::{Permit, Target};
use landfall_ledger::{LedgerError, SHARED_BEAT};
use landfall_model::clock::to_ms;
use landfall_model::{Attempt, Event, Outcome};

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
        let mut places: HashMap<Arc<str>, (Target, Vec<Permit>)> = HashMap::new();
        for hook in self.queue.hooks_due() {
            // A hook that is not there, or has nothing to run, burns no attempts: its events wait.
            let Some(target) = self.targets.find(&hook) else {
                continue;
            };
            let mut permits: Vec<Permit> = std::iter::from_fn(|| target.permits.try_acquire())
                .take(ROUND_MAX)
                .collect();
            let allowed = self.begin(&hook, &target, permits.len());
            permits.truncate(allowed);
            if !permits.is_empty() {
                places.insert(hook, (target, permits));
            }
        }
        if places.is_empty() {
            return Ok(0);
        }
        let asked = places
            .iter()
            .map(|(hook, (_, permits))| (hook.clone(), permits.len()))
            .collect();
        let mut started = 0;
        for (hook, due) in self.queue.claim(asked).await? {
            let Some((target, mut permits)) = places.remove(&hook) else {
                continue;
            };
            for one in due {
                let Some(permit) = permits.pop() else { break };
                tokio::spawn(self.clone().run(
                    one.lease,
                    permit,
                    target.clone(),
                    one.replayed,
                    None,
                ));
                started += 1;
            }
            self.not_begun(&hook, permits.len());
        }
        Ok(started)
    }

    /// One attempt, from its lease to its end. Callers that wait are told when the end is stored; `remote` is one of another node.
    pub(super) async fn run(
        self: Arc<Self>,
        lease: Lease,
        permit: Permit,
        target: Target,
        replayed: bool,
        remote: Option<oneshot::Sender<Outcome>>,
    ) {
        let (event, number) = (lease.event().clone(), lease.attempt());
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
        let attempt = match running.await {
            Ok(attempt) => attempt,
            Err(error) => panicked(&error, started.elapsed()),
        };
        drop(permit);
        landfall_model::kill_point!("after-run");
        let finished = RanAttempt {
            event,
            number,
            attempt,
            started_ms,
            target,
            remote,
        };
        self.finish(lease, finished).await;
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
