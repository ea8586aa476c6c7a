//! Modes `async` and `auto`: the event is on stable storage before anybody is told that it was accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::standing::Repeat;
use super::waiters::{Waited, Waiter};
use super::{Delivery, answers};
use landfall_engine::{Permit, Target};
use landfall_ledger::{Accepted, DedupKey, LedgerError, NewEvent, OpenState, Shown, Stored};
use landfall_model::{DeliveryState, Event, EventId, Outcome, Reply};

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
    /// The handler's reply, which refuses the event. Where the caller does not get it, say so with `Delivery::refusal_is_unheard`.
    Refused(Reply),
    /// Kept; it will be handled.
    Accepted(EventId),
}

impl Delivery {
    /// Stores the event, runs it as soon as there is a permit, and waits for the reply if that was asked for. An error: it was not
    /// stored, as far as this node can tell.
    pub async fn take(
        self: &Arc<Self>,
        incoming: Incoming,
        target: Option<&Target>,
    ) -> Result<Answered, LedgerError> {
        let until = Instant::now() + incoming.answer_within;
        let store_within = if incoming.is_answered_later {
            STORE_WITHIN
        } else {
            incoming.answer_within.min(STORE_WITHIN)
        };
        let responder =
            target.filter(|target| incoming.is_answered_later && target.handler.has_responder());
        let asked = responder.map(|target| (target, incoming.event.clone()));
        let (id, hook) = (incoming.event.id, incoming.event.hook.clone());

        let broker = self.queue.broker();
        let begins_here = target.filter(|target| target.order_of.is_none() && broker.is_none());
        let free = begins_here.and_then(|target| target.permits.try_acquire());
        let permit =
            free.filter(|_| target.is_some_and(|target| self.begin(&hook, target, 1) == 1));

        // Where no node can tell this one the reply, the caller does not wait for it.
        let is_answered_later =
            incoming.is_answered_later || broker.is_some_and(|broker| broker.answer_to().is_none());
        let runs_soon = permit.is_some() || (target.is_some() && !self.is_held(&hook));
        let waiting = (!is_answered_later && runs_soon).then(|| self.waiters.wait(id));

        let new = NewEvent {
            stored: Stored::new(incoming.event),
            dedup: incoming.dedup,
            order_key: incoming.order_key,
            delay: Duration::ZERO,
            run_now: permit.is_some() || (waiting.is_some() && broker.is_some()),
            dead: None,
        };
        let accepted = self
            .keep_within(store_within, new, permit.zip(target.cloned()))
            .await?;

        let left = until.saturating_duration_since(Instant::now());
        if let Some((target, event)) = asked {
            let event = Arc::new(Event {
                id: told_event(&accepted, id),
                ..event
            });
            let reply = quick_answer(target, event, left).await;
            return Ok(reply.map_or(
                Answered::Accepted(told_event(&accepted, id)),
                Answered::Reply,
            ));
        }
        match (accepted, waiting) {
            (accepted, None) => Ok(Answered::Accepted(told_event(&accepted, id))),
            (Accepted::Duplicate { of, reply }, Some(_)) => {
                let reply = reply.as_deref().and_then(answers::read);
                Ok(reply.map_or(Answered::Accepted(of), |(_, reply)| Answered::Reply(reply)))
            }
            (Accepted::Joined { of, state }, Some(_)) => self.join(of, state, left).await,
            (Accepted::New { .. }, Some(waiter)) => match reply_within(left, waiter, id).await? {
                Answered::Reply(reply) if !(200..=299).contains(&reply.status) => {
                    Ok(Answered::Refused(reply))
                }
                answered => Ok(answered),
            },
        }
    }

    /// The reply to the delivery that a duplicate joins.
    async fn join(
        &self,
        first: EventId,
        state: OpenState,
        left: Duration,
    ) -> Result<Answered, LedgerError> {
        let runs_soon = match state {
            OpenState::Pending(wait) => wait < left,
            OpenState::Running | OpenState::Replayed => true,
        };
        if !runs_soon {
            return Ok(Answered::Accepted(first));
        }

        let (waiter, told) = self.waiters.join(first);
        if let Some(reply) = told {
            return Ok(Answered::Reply(reply));
        }
        // It may have ended before this caller began to wait, at another node or long ago.
        let shown = self.queue.ledger().show(first).await;
        let is_open = |shown: &Shown| {
            shown.deliveries.first().is_some_and(|latest| {
                matches!(
                    latest.state,
                    DeliveryState::Pending | DeliveryState::Running
                )
            })
        };
        let is_refused = |shown: &Shown| {
            let is_done = shown
                .deliveries
                .first()
                .is_some_and(|latest| latest.state == DeliveryState::Done);
            is_done
                && shown.attempts.last().is_some_and(|last| {
                    last.status
                        .is_some_and(|status| !(200..=299).contains(&status))
                })
        };
        match shown {
            Ok(Some(shown)) if is_open(&shown) => reply_within(left, waiter, first).await,
            // The handler's reply refused it, and this caller gets no 2xx for that: sent again, the event runs.
            Ok(Some(shown)) if is_refused(&shown) => Err(LedgerError::Busy),
            _ => Ok(Answered::Accepted(first)),
        }
    }

    /// Stores the event in a task of its own: a stored event is run, whether or not the caller is still there.
    async fn keep_within(
        self: &Arc<Self>,
        store_within: Duration,
        new: NewEvent,
        place: Option<(Permit, Target)>,
    ) -> Result<Accepted, LedgerError> {
        let given_up = Arc::new(AtomicBool::new(false));
        let keeping = {
            let (delivery, given_up) = (self.clone(), given_up.clone());
            tokio::spawn(async move { delivery.keep(new, place, given_up).await })
        };
        match tokio::time::timeout(store_within, keeping).await {
            Ok(kept) => kept.map_err(|_| LedgerError::Stopped)?,
            Err(_) => {
                given_up.store(true, Ordering::Relaxed);
                Err(LedgerError::Busy)
            }
        }
    }

    /// Stores the event, and runs it if there is a permit for it.
    async fn keep(
        self: Arc<Self>,
        new: NewEvent,
        place: Option<(Permit, Target)>,
        given_up: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        let (id, hook) = (new.stored.event().id, new.stored.event().hook.clone());
        let repeat = Repeat::of(new.stored.event());
        let (accepted, lease) = self.queue.accept(new, given_up).await?;
        match &accepted {
            Accepted::New { conflict, .. } => {
                if let Some(first) = conflict {
                    self.record_conflict(&hook, id, *first);
                }
            }
            Accepted::Duplicate { of, .. } => self.record_duplicate(&hook, repeat, *of, false),
            Accepted::Joined { of, state } => {
                let is_replayed = *state == OpenState::Replayed;
                self.record_duplicate(&hook, repeat, *of, is_replayed);
            }
        }
        if let (Some(lease), Some((permit, target))) = (lease, place) {
            landfall_model::kill_point!("accepted");
            tokio::spawn(self.run(lease, permit, target, false, None));
        }

        Ok(accepted)
    }
}

async fn reply_within(
    left: Duration,
    waiter: Waiter<'_>,
    event: EventId,
) -> Result<Answered, LedgerError> {
    match waiter.within(left, STORE_WITHIN).await {
        Waited::Told(Outcome::Done(reply)) => Ok(Answered::Reply(reply)),
        Waited::Told(_) | Waited::Left => Ok(Answered::Accepted(event)),
        // The reply may refuse the event, and then nothing runs it again but the sender.
        Waited::Unknown => Err(LedgerError::Busy),
    }
}

/// The responder's reply, if there is one in time.
async fn quick_answer(target: &Target, event: Arc<Event>, within: Duration) -> Option<Reply> {
    let until = Instant::now() + within;
    let _place = target.permits.acquire_quick(within).await?;
    let left = until.saturating_duration_since(Instant::now());
    tokio::time::timeout(left, target.handler.respond(event, left))
        .await
        .ok()?
}

/// The event that the caller is told of.
fn told_event(accepted: &Accepted, own: EventId) -> EventId {
    match accepted {
        Accepted::New { .. } => own,
        Accepted::Duplicate { of, .. } | Accepted::Joined { of, .. } => *of,
    }
}
