//! A lease is the right to run one delivery. Committing or releasing it consumes it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_flow::compose;
use landfall_ledger::{
    AttemptRecord, Committed, Deferred, Disposition, Fence, Ledger, LedgerError,
};
use landfall_model::{Event, lock};

use super::broker_queue::InFlight;

/// A commit is tried again after this while the ledger takes no writes.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);

/// The leases that this node holds.
#[derive(Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<HashSet<Fence>>>);

/// The right to run one delivery, held while this lives. A lease that is dropped without a commit
/// runs out by itself.
pub(crate) struct Lease {
    fence: Fence,
    deferred: Deferred,
    event: Arc<Event>,
    /// The other events of its batch.
    members: Vec<Arc<Event>>,
    ledger: Arc<dyn Ledger>,
    leases: Leases,
    /// The message of the broker that delivered the event.
    message: Option<InFlight>,
}

// === impl Leases ===

impl Leases {
    /// Holds the lease of an event, and the message that a broker has delivered it with.
    pub(crate) fn register(
        &self,
        fence: Fence,
        deferred: Deferred,
        event: Event,
        ledger: &Arc<dyn Ledger>,
        message: Option<InFlight>,
    ) -> Lease {
        lock(&self.0).insert(fence);
        Lease {
            fence,
            deferred,
            event: Arc::new(event),
            members: Vec::new(),
            ledger: ledger.clone(),
            leases: self.clone(),
            message,
        }
    }

    /// The fences of all leases.
    pub(crate) fn fences(&self) -> Vec<Fence> {
        lock(&self.0).iter().copied().collect()
    }

    /// The fences of all leases, which are no longer held.
    pub(crate) fn drain(&self) -> Vec<Fence> {
        lock(&self.0).drain().collect()
    }

    /// The number of leases: of attempts that run, and of those whose result is not stored yet.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

// === impl Lease ===

impl Lease {
    pub(crate) fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// The same lease, of a batch with these other events.
    pub(crate) fn with_members(mut self, members: Vec<Arc<Event>>) -> Lease {
        self.members = members;
        self
    }

    /// Whether several events run together.
    pub(crate) fn is_batch(&self) -> bool {
        !self.members.is_empty()
    }

    /// What the handler receives: the event of the batch, or this form of the lease's event.
    pub(crate) fn input(&self, event: Arc<Event>) -> Arc<Event> {
        if self.members.is_empty() {
            return event;
        }
        let mut all = vec![event];
        all.extend(self.members.iter().cloned());
        Arc::new(compose(&all))
    }

    /// The numbers of the delivery and of the attempt, those that deferred the event included.
    pub(crate) fn numbers(&self) -> (i64, u32) {
        (self.fence.delivery, self.fence.attempt)
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    /// The number of the attempt, from 1, without those that deferred the event.
    pub(crate) fn attempt(&self) -> u32 {
        self.fence
            .attempt
            .saturating_sub(self.deferred.count)
            .max(1)
    }

    /// The earlier deferrals of the event.
    pub(crate) fn deferred(&self) -> Deferred {
        self.deferred
    }

    /// The address of the node that holds the caller's connection.
    pub(crate) fn reply_to(&self) -> Option<&str> {
        self.message.as_ref()?.reply_to()
    }

    /// Writes the attempt and its disposition to the ledger, then tells the broker.
    pub(crate) async fn commit(
        mut self,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed<Lease>, LedgerError> {
        match self.write(attempt, disposition.clone()).await? {
            Committed::Stored => {}
            Committed::LeaseLost => return Ok(Committed::LeaseLost),
            Committed::Refused(why, ()) => return Ok(Committed::Refused(why, self)),
        }

        if let Some(message) = self.message.take() {
            match disposition {
                Disposition::Done(results) => {
                    let emitted = results.emitted.iter();
                    let hooks = emitted.map(|new| new.stored.event().hook.clone()).collect();
                    message.done(hooks).await;
                }
                Disposition::Retry(pause) | Disposition::Defer(pause) => {
                    message.redeliver(pause, self.fence.attempt + 1).await;
                }
                Disposition::Split(_) => {
                    message
                        .redeliver(Duration::ZERO, self.fence.attempt + 1)
                        .await;
                }
                Disposition::Dead(why) => message.dead_letter(why).await,
            }
        }

        Ok(Committed::Stored)
    }

    /// Gives the lease back as if the attempt had not begun. The delivery is due again after the
    /// pause.
    pub(crate) async fn release(mut self, pause: Duration) -> Result<(), LedgerError> {
        self.ledger.release(vec![self.fence], pause).await?;
        if let Some(message) = self.message.take() {
            message.redeliver(pause, self.fence.attempt).await;
        }
        Ok(())
    }

    /// Gives the lease of a batch back as if the attempt had not begun. Each of its events runs alone.
    pub(crate) async fn split_batch(self, why: &str) -> Result<(), LedgerError> {
        self.ledger.split(self.fence, why.to_owned()).await
    }

    /// The lease is held until the ledger has room for its end.
    async fn write(
        &self,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        loop {
            let (attempt, disposition) = (attempt.clone(), disposition.clone());
            let written = self
                .ledger
                .finish(self.fence, self.event.clone(), attempt, disposition)
                .await;
            match written {
                Err(
                    error @ (LedgerError::Full
                    | LedgerError::ReadOnly(_)
                    | LedgerError::Busy
                    | LedgerError::Unreachable(_)),
                ) => {
                    tracing::error!(%error, delivery = self.fence.delivery, "the result of an attempt cannot be stored yet");
                    tokio::time::sleep(COMMIT_AGAIN).await;
                }
                committed => return committed,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.leases.0).remove(&self.fence);
    }
}
