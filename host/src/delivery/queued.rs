//! Modes `async` and `auto`: the event is on stable storage before anybody is told that it was accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Delivery;
use crate::engine::Target;
use crate::ledger::{DedupKey, LedgerError, NewEvent, Stored};
use crate::model::{Event, EventId, Outcome, Reply};
use crate::queue::Taken;

/// The longest that anybody waits for a place and a sync.
const STORE_WITHIN: Duration = Duration::from_secs(5);

/// An event that has just come.
pub struct Incoming {
    /// Verified.
    pub event: Event,
    /// Under which key it may have come before.
    pub dedup: Option<DedupKey>,
    /// One at a time of the same.
    pub order_key: Option<String>,
    /// The caller waits this long for the handler's reply; none = not at all.
    pub reply_within: Option<Duration>,
}

/// What the caller is told.
#[derive(Debug)]
pub enum Answered {
    /// The handler's reply, in time.
    Reply(Reply),
    /// Kept; it will be handled.
    Accepted(EventId),
}

impl Delivery {
    /// Keeps the event, runs it as soon as there is a place, and waits for the reply if that was asked for. An error: it was
    /// not kept, as far as anybody can tell.
    pub async fn take(self: &Arc<Self>, incoming: Incoming, target: Option<&Target>) -> Result<Answered, LedgerError> {
        let until = incoming.reply_within.map(|within| Instant::now() + within);
        let (id, hook) = (incoming.event.id, incoming.event.hook.clone());
        // Whoever runs it answers here.
        let (answer, answered) = oneshot::channel();
        let slot =
            target.filter(|target| !target.is_ordered && self.may_begin(&hook)).and_then(|one| one.slots.try_acquire());
        let store_within = incoming.reply_within.map_or(STORE_WITHIN, |within| within.min(STORE_WITHIN));
        let new = NewEvent {
            stored: Stored::new(incoming.event),
            dedup: incoming.dedup,
            order_key: incoming.order_key,
            run_now: slot.is_some(),
        };
        let is_waiting = until.is_some() && slot.is_none() && target.is_some() && self.may_begin(&hook);
        let mut answer = Some(answer);
        let waiter = is_waiting.then(|| Waiter::new(self, id, answer.take().expect("not taken yet")));
        match self.queue.accept(new, store_within).await? {
            Taken::Leased(lease) => {
                kill_point!("accepted");
                let (Some(target), Some(slot)) = (target.cloned(), slot) else { return Ok(Answered::Accepted(id)) };
                tokio::spawn(self.clone().run(lease, slot, target, false, answer.take()));
            }
            Taken::Queued if waiter.is_some() => {}
            Taken::Queued => return Ok(Answered::Accepted(id)),
            Taken::Duplicate(first) => {
                tracing::info!(hook = &*hook, event = %first, "came before: not run again");
                return Ok(Answered::Accepted(first));
            }
            Taken::Conflict(first) => {
                tracing::warn!(hook = &*hook, event = %id, %first, "another body under the id of an earlier event: kept, not run");
                return Ok(Answered::Accepted(id));
            }
        }
        let Some(until) = until else { return Ok(Answered::Accepted(id)) };
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, answered).await {
            Ok(Ok(Outcome::Done(reply))) => Ok(Answered::Reply(reply)),
            _ => Ok(Answered::Accepted(id)),
        }
    }
}

/// A caller that waits for somebody else's run; gone when it gives up.
struct Waiter<'a> {
    delivery: &'a Delivery,
    id: EventId,
}

// === impl Waiter ===

impl<'a> Waiter<'a> {
    fn new(delivery: &'a Delivery, id: EventId, answer: oneshot::Sender<Outcome>) -> Waiter<'a> {
        delivery.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(id, answer);
        Waiter { delivery, id }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.delivery.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&self.id);
    }
}
