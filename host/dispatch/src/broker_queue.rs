//! Joins the ledger and the broker that events wait in. An accepted event is published; a message
//! is acknowledged only when the end of its event is in the ledger. A message that is lost on the
//! way is redelivered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use landfall_broker::{
    Broker, BrokerError, DeadLetterPlace, DecodeError, Envelope, Message, Redelivery,
};
use landfall_ledger::{
    Accepted, Claimed, Fence, Ledger, LedgerError, NewEvent, OpenState, Received,
};
use landfall_model::{Admission, Clock, Event, EventId, LedgerTime, PushSpec, Stored, lock};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::error::DispatchError;

/// The hook name under which refused messages are dead-lettered in the ledger.
pub(crate) const QUEUE: &str = landfall_ledger::UNDECODABLE;
/// The most events of one hook that are handed over at once.
const HAND_OVER_MAX: usize = 64;
/// An event that the broker has not taken is handed over again after this.
const HAND_OVER_AGAIN: Duration = Duration::from_secs(1);
/// Acknowledgements of one message that may fail. After that the broker redelivers it, and the
/// ledger shows what happened.
const SETTLE_TRIES: u32 = 3;
const SETTLE_AGAIN: Duration = Duration::from_millis(500);
/// Between two extensions of the messages in flight: a third of their deadline.
const EXTEND_EVERY: Duration = Duration::from_secs(10);

/// The broker, and the messages that this node has not acknowledged yet.
pub(crate) struct BrokerQueue {
    ledger: Arc<dyn Ledger>,
    broker: Arc<dyn Broker>,
    clock: Clock,
    in_flight: InFlightTable,
    /// When the messages were extended last.
    extended: Mutex<Option<Instant>>,
    /// The number of messages that wait for a permit.
    waiting: AtomicUsize,
}

/// The messages in flight, by a number of this node.
#[derive(Default)]
struct InFlightTable {
    messages: Mutex<HashMap<u64, Arc<dyn Message>>>,
    next: AtomicU64,
}

/// A message that the broker has delivered and that is held while this lives. Settling it consumes
/// it.
pub(crate) struct InFlight {
    message: Arc<dyn Message>,
    queue: Arc<BrokerQueue>,
    number: u64,
}

/// A message that waits for a permit; counted while this lives.
pub(crate) struct WaitingMessage(Arc<BrokerQueue>);

// === impl BrokerQueue ===

impl BrokerQueue {
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        broker: Arc<dyn Broker>,
        clock: Clock,
    ) -> BrokerQueue {
        BrokerQueue {
            ledger,
            broker,
            clock,
            in_flight: InFlightTable::default(),
            extended: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    /// Returns when the broker has stored the event, unless `cancelled` has become true before that
    /// was begun. A duplicate of an event that the ledger knows is not published, unless that event
    /// is dead.
    pub(crate) async fn accept(
        &self,
        new: NewEvent,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Accepted, DispatchError> {
        if cancelled.load(Ordering::Relaxed) {
            return Err(LedgerError::Busy.into());
        }

        match self.find_duplicate(&new).await? {
            // A duplicate of a dead event runs in its place.
            Some(Accepted::Joined {
                state: OpenState::Replayed,
                ..
            })
            | None => {}
            Some(repeat) => return Ok(repeat),
        }

        let replies = self.broker.replies().filter(|_| new.run_now);
        let envelope = Envelope {
            reply_to: replies.map(|replies| replies.reply_to()),
            ..Envelope::new(new.stored, new.dedup, new.order_key)
        };
        self.broker.publish(&envelope).await?;
        Ok(Accepted::NEW)
    }

    async fn find_duplicate(&self, new: &NewEvent) -> Result<Option<Accepted>, LedgerError> {
        let Some(dedup) = new.dedup.clone() else {
            return Ok(None);
        };
        let (event, digest) = (new.stored.event(), *new.stored.digest());
        self.ledger
            .find_duplicate(event.hook.clone(), dedup, digest, event.id)
            .await
    }

    /// Holds a message that the broker has delivered.
    pub(crate) fn track(self: &Arc<BrokerQueue>, message: Arc<dyn Message>) -> InFlight {
        let number = self.in_flight.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.in_flight.messages).insert(number, message.clone());
        InFlight {
            message,
            queue: self.clone(),
            number,
        }
    }

    /// Counts a message that waits for a permit.
    pub(crate) fn count_waiting(self: &Arc<BrokerQueue>) -> WaitingMessage {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        WaitingMessage(self.clone())
    }

    /// The number of messages that wait for a permit.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Publishes events that are due in the ledger: emitted ones, and those that run again. The
    /// numbers of events that the broker has and has not taken.
    pub(crate) async fn hand_over(
        &self,
        hooks: Vec<Arc<str>>,
    ) -> Result<(usize, usize), LedgerError> {
        let wanted = hooks
            .into_iter()
            .map(|hook| (hook, HAND_OVER_MAX))
            .collect();
        let claims = self.ledger.claim(wanted).await?;
        let claimed = claims.into_iter().flat_map(|(_, claimed, _)| claimed);
        let sent = join_all(claimed.map(|one| self.send(one))).await;

        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for (fence, is_sent) in sent {
            if is_sent {
                taken.push(fence);
            } else {
                left.push(fence);
            }
        }
        landfall_model::kill_point!("handed-over");

        let counts = (taken.len(), left.len());
        if counts != (0, 0) {
            self.ledger.hand_over(taken, left, HAND_OVER_AGAIN).await?;
        }
        Ok(counts)
    }

    /// Publishes everything that is due of these hooks. False: some of it could not be published.
    async fn hand_over_all(&self, hooks: Vec<Arc<str>>) -> bool {
        loop {
            match self.hand_over(hooks.clone()).await {
                Ok((0, 0)) => return true,
                Ok((_, 0)) => {}
                Ok(_) => return false,
                Err(error) => {
                    tracing::warn!(%error, "an emitted event cannot be handed to the queue yet");
                    return false;
                }
            }
        }
    }

    async fn send(&self, claimed: Claimed) -> (Fence, bool) {
        let Claimed {
            fence,
            event,
            replayed,
            due,
            members,
            ..
        } = claimed;
        // A message carries one event. The batch is of the time before the node had a broker.
        if !members.is_empty() {
            let why = "a broker carries single events: the events of the batch run alone";
            if let Err(error) = self.ledger.split(fence, why.into()).await {
                tracing::error!(%error, delivery = fence.delivery, "a batch cannot be split");
            }
            return (fence, false);
        }
        let Some(Ok(event)) = event else {
            self.end_unread(fence, "corrupt".into()).await;
            return (fence, false);
        };
        // The other nodes could not read the message.
        if event.is_sealed() {
            tracing::error!(
                hook = &*event.hook,
                delivery = fence.delivery,
                "an event is encrypted with a key that ledger.encryption_keys of this node does not have: it waits"
            );
            return (fence, false);
        }

        let replay = replayed.then(|| replay_id(&event, fence, due));
        let order_key = event.attribute("order-key").map(str::to_owned);
        let envelope = Envelope {
            replay,
            ..Envelope::new(Stored::new(event), None, order_key)
        };
        match self.broker.publish(&envelope).await {
            Ok(_) => (fence, true),
            Err(error @ (BrokerError::TooLarge { .. } | BrokerError::Rejected(_))) => {
                tracing::error!(%error, delivery = fence.delivery, "an event cannot be handed to the queue: it is dead");
                self.end_unread(fence, error.to_string()).await;
                (fence, false)
            }
            Err(error) => {
                tracing::error!(%error, delivery = fence.delivery, "an event cannot be handed to the queue: it waits");
                (fence, false)
            }
        }
    }

    async fn end_unread(&self, fence: Fence, why: String) {
        if let Err(error) = self.ledger.dead_letter_unreadable(fence, why).await {
            tracing::error!(%error, delivery = fence.delivery, "a delivery cannot be ended");
        }
    }

    /// Extends the messages in flight, if that is due or the broker was away, and asks whether the
    /// broker can be used.
    pub(crate) async fn heartbeat(&self) {
        if self.broker.is_available() && !self.is_extension_due() {
            return;
        }

        self.broker.check_health().await;
        let messages: Vec<_> = lock(&self.in_flight.messages).values().cloned().collect();
        let extended = join_all(messages.iter().map(|message| message.extend())).await;
        if let Some(error) = extended.into_iter().find_map(Result::err) {
            tracing::warn!(%error, "the queue cannot be told that events are being worked on");
        }
    }

    /// Messages need to be extended less often than the leases of a shared ledger, and an extension
    /// is a call.
    fn is_extension_due(&self) -> bool {
        let mut extended = lock(&self.extended);
        let is_due = extended.is_none_or(|at| at.elapsed() >= EXTEND_EVERY);
        if is_due {
            *extended = Some(Instant::now());
        }
        is_due
    }

    /// Gives every message in flight back, to be redelivered at once.
    pub(crate) async fn release_all(&self) {
        let messages: Vec<_> = lock(&self.in_flight.messages).drain().collect();
        join_all(messages.into_iter().map(|(_, message)| release(message))).await;
    }

    /// Dead-letters a pushed message that cannot be decoded: in the broker, or in the ledger as an
    /// event of `QUEUE` that is never run. False: it could not be stored, and the broker must
    /// redeliver it.
    pub(crate) async fn dead_letter_undecodable(&self, bytes: &[u8], error: &DecodeError) -> bool {
        match self.store_undecodable(bytes, error).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "a message cannot be dead-lettered yet: the broker will redeliver it");
                false
            }
        }
    }

    async fn store_undecodable(
        &self,
        bytes: &[u8],
        error: &DecodeError,
    ) -> Result<(), DispatchError> {
        let why = error.to_string();
        let place = self.broker.dead_letter_undecodable(bytes, &why).await?;
        if place == DeadLetterPlace::Ledger {
            let new = undecodable_event(bytes, error, self.clock);
            self.ledger.accept(new, Arc::default()).await?;
        }
        Ok(())
    }
}

/// Gives a message back whose attempt does not go on.
async fn release(message: Arc<dyn Message>) {
    let redelivery = Redelivery {
        after: Duration::ZERO,
        attempt: message.envelope().attempt,
        carry_attempt: false,
    };
    if let Err(error) = message.nack(redelivery).await {
        tracing::warn!(%error, "an event cannot be given back to the queue: the queue redelivers it by itself");
    }
}

/// The same id for the same replay request, however often it is sent.
fn replay_id(event: &Event, fence: Fence, due: LedgerTime) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(event.id.as_bytes());
    hash.update(fence.delivery.to_le_bytes());
    // SQLite may give the number of a removed delivery to a new one.
    hash.update(due.0.to_le_bytes());
    Uuid::from_slice(&hash.finalize()[..16]).expect("sixteen bytes are a UUID")
}

/// An event for operators to inspect. It belongs to no hook, so that no replay runs it.
fn undecodable_event(bytes: &[u8], error: &DecodeError, clock: Clock) -> NewEvent {
    let now = clock.now();
    let event = Event {
        id: EventId::new(now),
        hook: QUEUE.into(),
        received_at: now,
        method: http::Method::POST,
        path: PushSpec::PATH.into(),
        query: None,
        headers: http::HeaderMap::new(),
        body: bytes.to_vec().into(),
        attributes: vec![("refused-because".into(), error.to_string())],
    };
    NewEvent {
        stored: Stored::new(event),
        dedup: None,
        order_key: None,
        delay: Duration::ZERO,
        run_now: false,
        dead: Some(error.reason()),
        admission: Admission::Run,
    }
}

// === impl InFlight ===

impl InFlight {
    pub(crate) fn envelope(&self) -> &Envelope {
        self.message.envelope()
    }

    pub(crate) fn event(&self) -> &Event {
        self.envelope().event()
    }

    /// The address of the node that holds the caller's connection.
    pub(crate) fn reply_to(&self) -> Option<&str> {
        self.envelope().reply_to.as_deref()
    }

    /// The event, as the ledger starts it.
    pub(crate) fn received(&self) -> Received {
        let envelope = self.envelope();
        Received {
            new: NewEvent {
                stored: envelope.stored.clone(),
                dedup: envelope.dedup.clone(),
                order_key: envelope.order_key.clone(),
                delay: Duration::ZERO,
                run_now: true,
                dead: None,
                admission: Admission::Run,
            },
            replay: envelope.replay,
            number: envelope.attempt,
        }
    }

    /// The time until the event is due, if it is not due yet.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let due = self.envelope().due?;
        due.duration_since(self.queue.clock.now()).ok()
    }

    /// The event has been handled. Events that it emitted to these hooks are published first,
    /// because nothing else may outlive this node: until that has succeeded, the message is not
    /// acknowledged. If it is redelivered, the ledger shows that its event has ended.
    pub(crate) async fn done(self, emitted: Vec<Arc<str>>) {
        if emitted.is_empty() || self.queue.hand_over_all(emitted).await {
            self.settle(|message| message.ack()).await;
        } else {
            let attempt = self.envelope().attempt;
            self.redeliver(HAND_OVER_AGAIN, attempt).await;
        }
    }

    /// The attempt was not made: the message is redelivered after this time.
    pub(crate) async fn defer(self, after: Duration) {
        let attempt = self.envelope().attempt;
        self.redeliver(after, attempt).await;
    }

    /// The message is redelivered after this time, for the attempt of this number.
    pub(crate) async fn redeliver(self, after: Duration, attempt: u32) {
        let redelivery = Redelivery {
            after,
            attempt,
            carry_attempt: !self.queue.ledger.is_shared(),
        };
        self.settle(|message| message.nack(redelivery)).await;
    }

    /// The event is a dead letter.
    pub(crate) async fn dead_letter(self, reason: String) {
        self.settle(|message| message.dead_letter(reason.clone()))
            .await;
    }

    async fn settle<F>(&self, act: impl Fn(Arc<dyn Message>) -> F)
    where
        F: Future<Output = Result<(), BrokerError>>,
    {
        for turn in 1..=SETTLE_TRIES {
            match act(self.message.clone()).await {
                Ok(()) => return,
                Err(error) if turn == SETTLE_TRIES => {
                    tracing::warn!(%error, event = %self.event().id, "the queue does not know yet what became of an event: it redelivers it");
                }
                Err(_) => tokio::time::sleep(SETTLE_AGAIN).await,
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        lock(&self.queue.in_flight.messages).remove(&self.number);
    }
}

impl Drop for WaitingMessage {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
