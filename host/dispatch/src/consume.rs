//! A message of the broker, from its delivery to its attempt. It waits for a permit within a bound,
//! and is deferred if its hook is paused or missing. A message that is dropped on the way is
//! redelivered.

use std::sync::Arc;
use std::time::Duration;

use landfall_broker::{Broker, Capacity, Consumer, DecodeError, Message, PushAnswer, Pushed};
use landfall_engine::{Permit, Target};
use landfall_ledger::{AlreadyEnded, Started};
use landfall_model::{EventId, Outcome};
use tokio::sync::oneshot;

use super::broker_queue::{BrokerQueue, InFlight};
use super::dispatcher::Dispatcher;
use super::lease::Lease;
use super::outcome_format;
use super::repeats::Repeat;

/// The most messages that wait for a permit.
const WAITING_MAX: usize = 1000;
/// How long a message waits for a permit. After that it is deferred for as long.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// A message that is due sooner than this waits here.
const WAIT_HERE_MAX: Duration = Duration::from_secs(15);
/// Deliveries of a pushed message without an answer, before that is logged.
const UNANSWERED: u32 = 10;
const ADMIT_AGAIN: Duration = Duration::from_millis(50);
/// An event that another node runs is deferred for at least this: a lost lease is known within a
/// heartbeat.
const RUNS_ELSEWHERE: Duration = Duration::from_secs(2);
/// A message whose attempt cannot be started in the ledger is redelivered after this.
const START_AGAIN: Duration = Duration::from_secs(1);

/// Hands the messages of the broker to the dispatcher.
struct MessageConsumer {
    dispatcher: Arc<Dispatcher>,
    queue: Arc<BrokerQueue>,
}

// === impl MessageConsumer ===

impl Consumer for MessageConsumer {
    fn hooks(&self) -> Vec<Arc<str>> {
        self.dispatcher.targets.names()
    }

    fn capacity(&self, hook: &str) -> Option<Capacity> {
        let target = self.dispatcher.targets.find(hook)?;
        // An event that cannot be started in the ledger would only be redelivered.
        let waits = self.dispatcher.gate.is_closed(hook) || !self.dispatcher.ledger().can_accept();
        let free = if waits {
            0
        } else {
            let left = WAITING_MAX.saturating_sub(self.queue.waiting());
            target.permits.free().min(left)
        };
        Some(Capacity {
            free,
            is_ordered: target.order_of.is_some(),
        })
    }

    fn is_stopping(&self) -> bool {
        self.dispatcher.gate.is_stopping()
    }

    fn handle(&self, message: Arc<dyn Message>) {
        let message = self.queue.track(message);
        let dispatcher = self.dispatcher.clone();
        tokio::spawn(dispatcher.consume(self.queue.clone(), message, 1));
    }

    fn reject(&self, error: &DecodeError, id: &str) {
        self.dispatcher.reject_message(error, id);
    }
}

impl Dispatcher {
    /// Runs what the broker delivers, if there is one, until the process stops.
    pub async fn run_consumer(self: Arc<Self>) {
        let Some(queue) = self.work.broker().cloned() else {
            return;
        };
        let broker = queue.broker().clone();
        let dispatcher = self;
        broker
            .receive(Arc::new(MessageConsumer { dispatcher, queue }))
            .await;
    }

    /// Runs an event that the broker has pushed; returns when the attempt has ended.
    /// `delivery_count`: how often the broker has delivered the message, this time included.
    pub async fn receive_push(self: &Arc<Self>, body: &[u8], delivery_count: u32) -> PushAnswer {
        let Some(queue) = self.work.broker() else {
            return PushAnswer::Redeliver;
        };
        let Pushed { message, answer } = match queue.broker().clone().receive_push(body) {
            Ok(pushed) => pushed,
            Err(error @ DecodeError::Later(_)) => {
                tracing::error!(%error, "a message of the queue cannot be verified yet");
                return PushAnswer::Redeliver;
            }
            Err(error) => {
                self.reject_message(&error, "");
                let is_stored = queue.dead_letter_undecodable(body, &error).await;
                return if is_stored {
                    PushAnswer::Done
                } else {
                    PushAnswer::Redeliver
                };
            }
        };

        if queue.waiting() >= WAITING_MAX {
            return PushAnswer::Redeliver;
        }
        let message = queue.track(message);
        tokio::spawn(self.clone().consume(queue.clone(), message, delivery_count));
        answer.await.unwrap_or(PushAnswer::Redeliver)
    }

    async fn consume(
        self: Arc<Self>,
        queue: Arc<BrokerQueue>,
        message: InFlight,
        delivery_count: u32,
    ) {
        match self.wait_for_permit(&queue, &message).await {
            Ok((permit, target)) => {
                if delivery_count > UNANSWERED {
                    let event = message.event();
                    tracing::warn!(hook = &*event.hook, event = %event.id, times = delivery_count, "the queue has pushed this event, and no call was answered");
                }
                self.start(message, permit, target).await
            }
            Err(pause) => message.defer(pause).await,
        }
    }

    /// A permit to run the event of a message; or how long the message is to be deferred.
    async fn wait_for_permit(
        &self,
        queue: &Arc<BrokerQueue>,
        message: &InFlight,
    ) -> Result<(Permit, Target), Duration> {
        let _counted = queue.count_waiting();
        let hook = &message.event().hook;
        let paused = queue.broker().paused_hook_delay();

        if let Some(wait) = message.due_in() {
            if wait > WAIT_HERE_MAX {
                return Err(wait);
            }
            tokio::time::sleep(wait).await;
        }

        let target = self.targets.find(hook).ok_or(paused)?;
        let permit = target
            .permits
            .acquire(PERMIT_TIMEOUT)
            .await
            .map_err(|_| PERMIT_TIMEOUT)?;

        // A message that only waits for the rate is not sent away and back.
        while self.gate.admit(hook, target.max_rate, 1) == 0 {
            if self.gate.is_stopping() {
                return Err(Duration::ZERO);
            }
            if self.gate.is_closed(hook) {
                return Err(paused);
            }
            tokio::time::sleep(ADMIT_AGAIN).await;
        }

        Ok((permit, target))
    }

    /// Starts the attempt in the ledger, which knows whether the event has ended already, and runs
    /// it.
    async fn start(self: Arc<Self>, message: InFlight, permit: Permit, target: Target) {
        let (id, hook) = (message.event().id, message.event().hook.clone());
        match self.ledger().start(message.received()).await {
            Ok(Started::Run {
                fence,
                deferred,
                conflict,
            }) => {
                landfall_model::kill_point!("arrived");
                if let Some(first) = conflict {
                    self.record_conflict(&hook, id, first);
                }
                let replayed = message.envelope().replay.is_some();
                let lease =
                    self.work
                        .lease(fence, deferred, message.event().clone(), Some(message));
                let remote = self.remote_caller(&lease);
                self.run(lease, permit, target, replayed, remote).await;
            }
            Ok(Started::AlreadyEnded(ended)) => {
                self.gate.put_back(&hook, 1);
                self.settle_ended(message, ended).await;
            }
            Ok(Started::Wait(pause)) => {
                self.gate.put_back(&hook, 1);
                drop(permit);
                message.defer(pause.max(RUNS_ELSEWHERE)).await;
            }
            Err(error) => {
                self.gate.put_back(&hook, 1);
                tracing::error!(hook = &*hook, event = %id, %error, "an attempt cannot be started: the queue redelivers the event");
                message.defer(START_AGAIN).await;
            }
        }
    }

    /// Tells the broker of an event that needs no attempt.
    async fn settle_ended(&self, message: InFlight, ended: AlreadyEnded) {
        match ended {
            AlreadyEnded::Done => {
                // What the event emitted may still wait in the ledger, and is published first.
                match self.work.hooks_with_work().await {
                    Ok(hooks) => message.done(hooks).await,
                    Err(error) => {
                        tracing::error!(%error, event = %message.event().id, "the ledger cannot be asked for emitted events: the queue redelivers the event");
                    }
                }
            }
            AlreadyEnded::Dead(why) => message.dead_letter(why).await,
            AlreadyEnded::DuplicateOf(first) => {
                let event = message.event();
                self.record_duplicate(&event.hook, Repeat::of(event), first, false);
                message.done(Vec::new()).await;
            }
        }
    }

    /// The caller at another node that waits for the reply.
    fn remote_caller(&self, lease: &Lease) -> Option<oneshot::Sender<Outcome>> {
        let id = lease.event().id;
        if self.replies.has(id) {
            return None;
        }

        let broker = self.work.broker()?.broker().clone();
        let reply_to = lease.reply_to()?.to_owned();
        if broker.replies()?.reply_to() == reply_to {
            return None;
        }
        let (outcome, ended) = oneshot::channel();
        tokio::spawn(publish_reply(broker, reply_to, id, ended));
        Some(outcome)
    }

    /// Hands replies of other nodes to the callers that wait here, until the process stops.
    pub async fn run_reply_listener(self: Arc<Self>) {
        let Some(queue) = self.work.broker() else {
            return;
        };
        let Some(replies) = queue.broker().replies() else {
            return;
        };
        replies
            .subscribe_replies(&|bytes: &[u8]| {
                if let Some((event, outcome)) = outcome_format::decode(bytes) {
                    self.replies.publish(event, &outcome);
                }
            })
            .await;
    }
}

async fn publish_reply(
    broker: Arc<dyn Broker>,
    reply_to: String,
    event: EventId,
    ended: oneshot::Receiver<Outcome>,
) {
    let outcome = ended.await.ok();
    let encoded = outcome.and_then(|outcome| outcome_format::encode(event, &outcome));
    if let (Some(replies), Some(encoded)) = (broker.replies(), encoded) {
        replies.publish_reply(&reply_to, encoded).await;
    }
}
