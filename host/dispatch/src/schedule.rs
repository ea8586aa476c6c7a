//! The tasks that run until the process stops: claiming due deliveries, extending leases, listening
//! to other nodes, pruning.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_engine::{Permit, Target};
use landfall_ledger::{HEARTBEAT_INTERVAL, LedgerError};

use super::dispatcher::Dispatcher;

/// The most attempts of one hook that start in one round, so that every hook gets its turn.
const ROUND_MAX: usize = 16;
/// The ledger is asked this often what is due. Notifications only make it quicker.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// A node that never lives for a minute prunes too.
const PRUNE_FIRST: Duration = Duration::from_secs(5);
/// Between two extensions of the leases of a ledger that no other node shares.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

impl Dispatcher {
    /// Claims due deliveries and starts their attempts; with a broker, publishes them. Returns when
    /// the process stops.
    pub async fn run_scheduler(self: Arc<Self>) {
        let mut looked = Instant::now();
        loop {
            self.work.wait(LOOK_EVERY).await;
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.look().await;
            }

            loop {
                if self.gate.is_stopping() {
                    return;
                }
                match self.run_round().await {
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

    /// Looks at once if another node says that it has queued something.
    pub async fn run_hint_listener(self: Arc<Self>) {
        let Some(mut hints) = self.ledger().hints() else {
            return;
        };
        while let Some(hook) = hints.recv().await {
            self.work.mark_due(&hook.into());
        }
    }

    /// Extends the leases of what runs, in the ledger.
    pub async fn run_heartbeat(self: Arc<Self>) {
        let is_shared = self.ledger().is_shared();
        let usual = if is_shared {
            HEARTBEAT_INTERVAL
        } else {
            HEARTBEAT_EVERY
        };
        loop {
            // After an outage, leases are extended soon.
            let pause = if self.can_accept() { usual } else { LOOK_EVERY };
            tokio::time::sleep(pause).await;

            match self.work.heartbeat().await {
                Ok(0) => {}
                Ok(freed) => {
                    tracing::warn!(freed, "leases have run out: their deliveries run again");
                    self.look().await;
                    self.work.notify();
                }
                Err(error) => tracing::error!(%error, "leases cannot be extended"),
            }
            if is_shared && let Err(error) = self.read_paused_hooks().await {
                tracing::error!(%error, "the ledger cannot be asked which hooks are paused");
            }
        }
    }

    /// Extends the messages of the broker that are being worked on. A broker that does not answer
    /// delays no lease of the ledger.
    pub async fn run_message_heartbeat(self: Arc<Self>) {
        let Some(queue) = self.work.broker() else {
            return;
        };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            queue.heartbeat().await;
        }
    }

    /// Removes what is old.
    pub async fn run_pruning(self: Arc<Self>) {
        let (mut pause, mut is_first) = (PRUNE_FIRST, true);
        loop {
            tokio::time::sleep(pause).await;
            // What a hook keeps longer than the node must not be removed.
            let Some(retentions) = self.targets.retentions() else {
                continue;
            };
            // The first call of a shared ledger announces the retentions.
            let announces = std::mem::take(&mut is_first) && self.ledger().is_shared();
            pause = if announces { PRUNE_FIRST } else { PRUNE_EVERY };
            match self.ledger().prune(retentions).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "old deliveries and ids were removed"),
                Err(error) => tracing::error!(%error, "old deliveries cannot be removed"),
            }
        }
    }

    async fn look(&self) {
        if let Err(error) = self.work.look().await {
            tracing::error!(%error, "the ledger cannot be asked for what is due");
        }
    }

    /// One look at every hook that may have something due. The number of deliveries that were
    /// started or published.
    async fn run_round(self: &Arc<Self>) -> Result<usize, LedgerError> {
        match self.work.broker() {
            Some(queue) => {
                let is_paused = |hook: &Arc<str>| self.gate.is_closed(hook);
                self.work.hand_over(queue, is_paused).await
            }
            None => self.start_due().await,
        }
    }

    async fn start_due(self: &Arc<Self>) -> Result<usize, LedgerError> {
        let mut permits = self.permits();
        if permits.is_empty() {
            return Ok(0);
        }

        let wanted = permits
            .iter()
            .map(|(hook, (_, permits))| (hook.clone(), permits.len()));
        let mut started = 0;
        for (hook, due) in self.work.claim(wanted.collect()).await? {
            let Some((target, mut permits)) = permits.remove(&hook) else {
                continue;
            };
            for one in due {
                if one.lease.is_batch() && !target.flow.has_batches() {
                    let why = "the hook file has no [batch] any more";
                    self.split(one.lease, why).await;
                    continue;
                }
                let Some(permit) = permits.pop() else { break };
                let (dispatcher, target) = (self.clone(), target.clone());
                tokio::spawn(dispatcher.run(one.lease, permit, target, one.replayed, None));
                started += 1;
            }
            self.gate.put_back(&hook, permits.len());
        }
        Ok(started)
    }

    /// The permits for every hook that may have something due. A hook that cannot run burns no
    /// attempts: its events wait.
    fn permits(&self) -> HashMap<Arc<str>, (Target, Vec<Permit>)> {
        let mut all = HashMap::new();
        for hook in self.work.hooks_due() {
            // Each of its new events wakes the scheduler, and none starts.
            if self.gate.status(&hook).is_paused {
                continue;
            }
            let Some(target) = self.targets.find(&hook) else {
                continue;
            };
            let mut permits: Vec<Permit> = std::iter::from_fn(|| target.permits.try_acquire())
                .take(ROUND_MAX)
                .collect();
            let admitted = self.gate.admit(&hook, target.max_rate, permits.len());
            permits.truncate(admitted);
            if !permits.is_empty() {
                all.insert(hook, (target, permits));
            }
        }
        all
    }
}
