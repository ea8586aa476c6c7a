//! Modes `async` and `auto`: the event is on stable storage before its caller is told that it was
//! accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use landfall_engine::{Permit, Target};
use landfall_flow::Flow;
use landfall_ledger::{Accepted, LedgerError, NewEvent, OpenState, Shown};
use landfall_model::{
    Admission, DedupKey, DeliveryState, Event, EventId, Outcome, Reply, Stored, Timing,
};

use super::dispatcher::Dispatcher;
use super::error::DispatchError;
use super::repeats::Repeat;
use super::replies::{Moment, Waiter};
use super::reply_format;

/// The longest that a caller waits for its event to be stored.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// A verified event that is to be accepted.
pub struct Incoming {
    /// The event.
    pub event: Event,
    /// The identity of the delivery, if it has one.
    pub dedup: Option<DedupKey>,
    /// Events with the same key run one after another.
    pub order_key: Option<String>,
    /// The caller does not wait for the handler's reply; the component's responder may answer.
    pub is_answered_later: bool,
    /// The caller gets its answer within this time.
    pub answer_within: Duration,
    /// How long the steps before this one took.
    pub timing: Timing,
    /// What happens to events of the hook before they run.
    pub flow: Arc<Flow>,
}

/// What the caller is told of an event that is stored.
#[derive(Debug)]
pub struct Answer {
    /// The event that was accepted: an earlier one, if the request repeats that.
    pub event: EventId,
    /// What the caller gets.
    pub content: AnswerContent,
}

/// What the caller of a stored event gets.
#[derive(Debug)]
pub enum AnswerContent {
    /// The answer that the provider takes for success.
    Accepted,
    /// The reply of the handler or its responder.
    Reply(Reply),
    /// The handler has rejected the event without a reply: 422.
    Rejected,
}

/// How an event runs, and whether its caller waits.
enum Plan {
    /// This node runs the event at once, under this permit.
    RunInline(Permit),
    /// The event is queued, and its reply is expected in time.
    WaitForReply,
    /// The event is queued, and its caller is told so.
    Enqueue,
}

// === impl Answer ===

impl Answer {
    fn accepted(event: EventId) -> Answer {
        Answer {
            event,
            content: AnswerContent::Accepted,
        }
    }

    fn replied(event: EventId, reply: Option<Reply>) -> Answer {
        let content = reply.map_or(AnswerContent::Accepted, AnswerContent::Reply);
        Answer { event, content }
    }

    fn rejected(event: EventId, reply: Option<Reply>) -> Answer {
        let content = reply.map_or(AnswerContent::Rejected, AnswerContent::Reply);
        Answer { event, content }
    }
}

impl Dispatcher {
    /// Stores the event, runs it as soon as there is a permit, and waits for the reply if the
    /// caller does. An error: the event was not stored, as far as this node can tell.
    pub async fn accept(
        self: &Arc<Self>,
        incoming: Incoming,
        target: Option<&Target>,
    ) -> Result<Answer, DispatchError> {
        let until = Instant::now() + incoming.answer_within;
        let admission = self.admit(&incoming.flow, &incoming.event);
        let runs = admission == Admission::Run;
        let waits = runs && self.caller_waits(&incoming);
        let plan = if runs {
            self.plan(&incoming, target, waits)
        } else {
            Plan::Enqueue
        };

        let id = incoming.event.id;
        let waiter = match &plan {
            Plan::RunInline(_) if !waits => None,
            Plan::RunInline(_) | Plan::WaitForReply => Some(self.replies.wait(id)),
            Plan::Enqueue => None,
        };
        // The component does not see an event that is filtered.
        let may_respond =
            incoming.is_answered_later && !matches!(admission, Admission::Filtered(_));
        let responder = target.filter(|target| may_respond && target.handler.has_responder());
        let asked = responder.map(|target| (target, incoming.event.clone()));

        let span = self.open_store(&incoming.event);
        let begun = self.replies.now();
        let stored = self.store_in_time(incoming, plan, target, admission).await;
        if let Some(span) = span {
            self.end_store(span, &stored);
        }
        let accepted = stored?;

        let left = until.saturating_duration_since(Instant::now());
        if let Some((target, event)) = asked {
            let id = accepted_event(&accepted, id);
            let event = Arc::new(Event { id, ..event });
            let reply = respond(target, event, left).await;
            return Ok(Answer::replied(id, reply));
        }
        let Some(waiter) = waiter else {
            return Ok(Answer::accepted(accepted_event(&accepted, id)));
        };
        match accepted {
            Accepted::New { .. } => Ok(reply_within(left, waiter, id).await),
            Accepted::Duplicate { of, reply } => {
                let reply = reply.as_deref().and_then(reply_format::decode);
                Ok(Answer::replied(of, reply.map(|(_, reply)| reply)))
            }
            Accepted::Joined { of, state } => {
                landfall_model::kill_point!("joins");
                self.join(of, state, begun, left).await
            }
        }
    }

    /// Stores an event of mode `sync` that is filtered, for this reason. The handler does not see it.
    pub async fn store_filtered(
        &self,
        event: Event,
        timing: Timing,
        why: String,
    ) -> Result<(), DispatchError> {
        let (id, hook) = (event.id, event.hook.clone());
        let admission = Admission::Filtered(why);
        let new = NewEvent {
            stored: Stored::new(event).with_timing(timing),
            dedup: None,
            order_key: None,
            delay: Duration::ZERO,
            run_now: false,
            dead: None,
            admission: admission.clone(),
        };
        self.work.accept(new, Arc::default()).await?;
        self.record_admission(&hook, id, &admission);
        Ok(())
    }

    /// Whether the caller waits for the handler's reply. It does not if no other node could tell
    /// this one the reply.
    fn caller_waits(&self, incoming: &Incoming) -> bool {
        let broker = self.work.broker();
        let hears = broker.is_none_or(|queue| queue.broker().replies().is_some());
        !incoming.is_answered_later && hears
    }

    fn plan(&self, incoming: &Incoming, target: Option<&Target>, waits: bool) -> Plan {
        let Some(target) = target else {
            return Plan::Enqueue;
        };
        let hook = &incoming.event.hook;

        let may_run_inline = target.order_of.is_none() && self.work.broker().is_none();
        if may_run_inline
            && let Some(permit) = target.permits.try_acquire()
            && self.gate.admit(hook, target.max_rate, 1) == 1
        {
            return Plan::RunInline(permit);
        }

        if waits && !self.gate.is_closed(hook) {
            Plan::WaitForReply
        } else {
            Plan::Enqueue
        }
    }

    /// Stores the event in a task of its own: a stored event is run, whether or not the caller is
    /// still there.
    async fn store_in_time(
        self: &Arc<Self>,
        incoming: Incoming,
        plan: Plan,
        target: Option<&Target>,
        admission: Admission,
    ) -> Result<Accepted, DispatchError> {
        let timeout = incoming.answer_within.min(STORE_TIMEOUT);
        let run_now = match &plan {
            Plan::RunInline(_) => true,
            // The broker is told that a caller waits.
            Plan::WaitForReply => self.work.broker().is_some(),
            Plan::Enqueue => false,
        };
        let new = NewEvent {
            stored: Stored::new(incoming.event).with_timing(incoming.timing),
            dedup: incoming.dedup,
            order_key: incoming.order_key,
            delay: Duration::ZERO,
            run_now,
            dead: None,
            admission,
        };

        let permit = match plan {
            Plan::RunInline(permit) => Some(permit),
            Plan::WaitForReply | Plan::Enqueue => None,
        };
        let inline = permit.zip(target.cloned());
        let cancelled = Arc::new(AtomicBool::new(false));
        let storing = tokio::spawn(self.clone().store(new, inline, cancelled.clone()));
        match tokio::time::timeout(timeout, storing).await {
            Ok(stored) => stored.map_err(|_| LedgerError::Stopped)?,
            Err(_) => {
                cancelled.store(true, Ordering::Relaxed);
                Err(LedgerError::Busy.into())
            }
        }
    }

    /// Stores the event, and runs it if there is a permit for it.
    async fn store(
        self: Arc<Self>,
        new: NewEvent,
        inline: Option<(Permit, Target)>,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Accepted, DispatchError> {
        let (id, hook) = (new.stored.event().id, new.stored.event().hook.clone());
        let repeat = Repeat::of(new.stored.event());
        let admission = new.admission.clone();
        // One transaction of the ledger, or one message to the broker.
        let (accepted, lease) = self.work.accept(new, cancelled).await?;

        if matches!(accepted, Accepted::New { .. }) {
            self.record_admission(&hook, id, &admission);
        }
        match &accepted {
            Accepted::New { conflict: None, .. } => {}
            Accepted::New {
                conflict: Some(first),
                ..
            } => self.record_conflict(&hook, id, *first),
            Accepted::Duplicate { of, .. } => self.record_duplicate(&hook, repeat, *of, false),
            Accepted::Joined { of, state } => {
                let is_replayed = *state == OpenState::Replayed;
                self.record_duplicate(&hook, repeat, *of, is_replayed);
            }
        }
        if let (Some(lease), Some((permit, target))) = (lease, inline) {
            landfall_model::kill_point!("accepted");
            tokio::spawn(self.run(lease, permit, target, false, None));
        }

        Ok(accepted)
    }

    /// The reply to the delivery that a duplicate joins, which may have ended since `begun`.
    async fn join(
        &self,
        first: EventId,
        state: OpenState,
        begun: Moment,
        left: Duration,
    ) -> Result<Answer, DispatchError> {
        let runs_soon = match state {
            OpenState::Pending(wait) => wait < left,
            OpenState::Running | OpenState::Replayed => true,
        };
        if !runs_soon {
            return Ok(Answer::accepted(first));
        }

        let (waiter, recent) = self.replies.join(first, begun);
        if let Some(outcome) = recent {
            return Ok(answer_to(first, Some(outcome)));
        }
        // The event may have ended before this caller began to wait, at another node or long ago.
        match self.ledger().show(first).await {
            Ok(Some(shown)) if is_open(&shown) => Ok(reply_within(left, waiter, first).await),
            // The handler's reply refused the event, and this caller gets no 2xx for that: sent
            // again, the event runs.
            Ok(Some(shown)) if is_refused(&shown) => Err(LedgerError::Busy.into()),
            Ok(Some(shown)) if is_rejected(&shown) => Ok(Answer::rejected(first, None)),
            _ => Ok(Answer::accepted(first)),
        }
    }
}

/// The event that the caller is told of.
fn accepted_event(accepted: &Accepted, own: EventId) -> EventId {
    match accepted {
        Accepted::New { .. } => own,
        Accepted::Duplicate { of, .. } | Accepted::Joined { of, .. } => *of,
    }
}

fn is_open(shown: &Shown) -> bool {
    let latest = shown.deliveries.first();
    latest.is_some_and(|latest| {
        matches!(
            latest.state,
            DeliveryState::Waiting | DeliveryState::Pending | DeliveryState::Running
        )
    })
}

/// The latest delivery is done, and the handler's reply refuses the event.
fn is_refused(shown: &Shown) -> bool {
    let latest = shown.deliveries.first();
    let is_done = latest.is_some_and(|latest| latest.state == DeliveryState::Done);
    let status = shown.attempts.last().and_then(|last| last.status);
    is_done && status.is_some_and(|status| !(200..=299).contains(&status))
}

/// The latest delivery is dead, because the handler rejected the event.
fn is_rejected(shown: &Shown) -> bool {
    let latest = shown.deliveries.first();
    let is_dead = latest.is_some_and(|latest| latest.state == DeliveryState::Dead);
    is_dead
        && shown
            .attempts
            .last()
            .is_some_and(|last| last.outcome == "reject")
}

/// The answer to a caller that waits. What is retried or deferred is stored, so the caller is told
/// that it was accepted.
async fn reply_within(left: Duration, waiter: Waiter<'_>, event: EventId) -> Answer {
    answer_to(event, waiter.within(left).await)
}

fn answer_to(event: EventId, outcome: Option<Outcome>) -> Answer {
    match outcome {
        Some(Outcome::Done(reply)) => Answer::replied(event, reply),
        Some(Outcome::Reject { reply, .. }) => Answer::rejected(event, reply),
        _ => Answer::accepted(event),
    }
}

/// The responder's reply, if it comes in time.
async fn respond(target: &Target, event: Arc<Event>, within: Duration) -> Option<Reply> {
    let until = Instant::now() + within;
    let _permit = target.permits.acquire_quick(within).await?;
    let left = until.saturating_duration_since(Instant::now());
    tokio::time::timeout(left, target.handler.respond(event, left))
        .await
        .ok()?
}
