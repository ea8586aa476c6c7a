//! Modes `async` and `auto`: the event is on stable storage before anybody is told that it was accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Delivery;
use crate::engine::{Slot, Target};
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
    /// The caller does not wait for the handler's reply; the component's responder may answer.
    pub is_answered_later: bool,
    /// The caller gets its answer within this.
    pub answer_within: Duration,
}

/// What the caller is told.
#[derive(Debug)]
pub enum Answered {
    /// The handler's reply, or its responder's, in time.
    Reply(Reply),
    /// Kept; it will be handled.
    Accepted(EventId),
}

impl Delivery {
    /// Keeps the event, runs it as soon as there is a place, and waits for the reply if that was asked for. An error: it was
    /// not kept, as far as anybody can tell.
    pub async fn take(self: &Arc<Self>, incoming: Incoming, target: Option<&Target>) -> Result<Answered, LedgerError> {
        let Incoming { is_answered_later, answer_within, .. } = incoming;
        let until = Instant::now() + answer_within;
        let responder = target.filter(|target| is_answered_later && target.handler.has_responder());
        let asked = responder.map(|target| (target, incoming.event.clone()));
        let (id, hook) = (incoming.event.id, incoming.event.hook.clone());
        // Whoever runs it answers here.
        let (answer, answered) = oneshot::channel();
        let broker = self.queue.broker();
        let begins_here = target.filter(|target| target.order_of.is_none() && broker.is_none());
        let free = begins_here.and_then(|target| target.slots.try_acquire());
        let slot = free.filter(|_| target.is_some_and(|target| self.begin(&hook, target, 1) == 1));
        let store_within = if is_answered_later { STORE_WITHIN } else { answer_within.min(STORE_WITHIN) };
        // Where no node can tell this one the reply, nobody waits for it.
        let is_answered_later = is_answered_later || broker.is_some_and(|broker| broker.answer_to().is_none());
        let is_waiting = !is_answered_later && slot.is_none() && target.is_some() && !self.is_held(&hook);
        let new = NewEvent {
            stored: Stored::new(incoming.event),
            dedup: incoming.dedup,
            order_key: incoming.order_key,
            delay: Duration::ZERO,
            run_now: slot.is_some() || (is_waiting && broker.is_some()),
            dead: None,
        };
        let mut answer = Some(answer);
        let _waiter = is_waiting.then(|| Waiter::new(self, id, answer.take().expect("not taken yet")));
        // A task of its own: what has been kept is run, whether or not the caller is still there.
        let given_up = Arc::new(AtomicBool::new(false));
        let keeping = {
            let (delivery, given_up, place) = (self.clone(), given_up.clone(), slot.zip(target.cloned()));
            tokio::spawn(async move { delivery.keep(new, place, answer, given_up).await })
        };
        let kept = match tokio::time::timeout(store_within, keeping).await {
            Ok(kept) => kept.map_err(|_| LedgerError::Stopped)??,
            Err(_) => {
                given_up.store(true, Ordering::Relaxed);
                return Err(LedgerError::Busy);
            }
        };
        let left = until.saturating_duration_since(Instant::now());
        if let (Some((target, event)), Kept::New | Kept::Before(_)) = (asked, &kept) {
            let event = Arc::new(Event { id: kept.event(id), ..event });
            let reply = quick_answer(target, event, left).await;
            return Ok(reply.map_or(Answered::Accepted(kept.event(id)), Answered::Reply));
        }
        if is_answered_later || !matches!(kept, Kept::New) {
            return Ok(Answered::Accepted(kept.event(id)));
        }
        match tokio::time::timeout(left, answered).await {
            Ok(Ok(Outcome::Done(reply))) => Ok(Answered::Reply(reply)),
            _ => Ok(Answered::Accepted(id)),
        }
    }

    /// Stores the event, and runs it if there is a place for it.
    async fn keep(
        self: Arc<Self>,
        new: NewEvent,
        place: Option<(Slot, Target)>,
        answer: Option<oneshot::Sender<Outcome>>,
        given_up: Arc<AtomicBool>,
    ) -> Result<Kept, LedgerError> {
        let (id, hook) = (new.stored.event().id, new.stored.event().hook.clone());
        match self.queue.accept(new, given_up).await? {
            Taken::Leased(lease) => {
                kill_point!("accepted");
                if let Some((slot, target)) = place {
                    tokio::spawn(self.run(lease, slot, target, false, answer));
                }
                Ok(Kept::New)
            }
            Taken::Queued => Ok(Kept::New),
            Taken::Duplicate(first) => {
                tracing::info!(hook = &*hook, event = %first, "came before: not run again");
                Ok(Kept::Before(first))
            }
            Taken::Conflict(first) => {
                let what = "another body under the id of an earlier event: kept, not run";
                tracing::warn!(hook = &*hook, event = %id, %first, what);
                Ok(Kept::Apart)
            }
        }
    }
}

/// The responder's reply, if there is one in time.
async fn quick_answer(target: &Target, event: Arc<Event>, within: Duration) -> Option<Reply> {
    let until = Instant::now() + within;
    let _place = target.slots.acquire_quick(within).await?;
    let left = until.saturating_duration_since(Instant::now());
    tokio::time::timeout(left, target.handler.respond(event, left)).await.ok()?
}

impl Delivery {
    /// The run did not come to its end: the next one answers.
    pub(super) fn wait_on(&self, id: EventId, waiter: oneshot::Sender<Outcome>) {
        if !waiter.is_closed() {
            self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(id, waiter);
        }
    }
}

/// What became of the event.
enum Kept {
    /// It will be run.
    New,
    /// It came before, as that one.
    Before(EventId),
    /// It is kept and will not be run.
    Apart,
}

// === impl Kept ===

impl Kept {
    /// The event that the caller is told of.
    fn event(&self, own: EventId) -> EventId {
        match self {
            Kept::Before(first) => *first,
            Kept::New | Kept::Apart => own,
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
