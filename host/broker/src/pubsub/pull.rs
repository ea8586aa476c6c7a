//! A subscription that the node pulls from.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use landfall_model::lock;
use serde_json::{Value, json};

use super::ack::{AckHandle, Subscription, extend_all, set_deadlines};
use super::topic::{Topic, ordering_key};
use crate::broker::{Broker, Consumer, DeadLetterPlace, Message, Pushed, Redelivery, ReplyChannel};
use crate::envelope::{Envelope, LATER_AGAIN};
use crate::error::{BrokerError, DecodeError};
use crate::ordered::{KeyGuard, OrderedDispatch};
use crate::rest::describe_error;

/// The service answers an empty pull after some time of its own.
const PULL_TIMEOUT: Duration = Duration::from_secs(30);
const PULL_MAX: usize = 100;
const FULL_AGAIN: Duration = Duration::from_millis(20);
const FAILED_AGAIN: Duration = Duration::from_secs(1);
/// The deadlines of messages that wait behind others of their key are extended this often.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
/// Messages behind a deferred one of their key are redelivered so much later.
const BEHIND: Duration = Duration::from_secs(2);
/// Messages of all hooks are delivered.
const PAUSED_HOOK_DELAY: Duration = Duration::from_secs(30);

/// Pub/Sub with a subscription that is pulled.
pub(super) struct PubSubPull {
    topic: Arc<Topic>,
    subscription: Arc<Subscription>,
    ordered: Arc<OrderedDispatch<AckHandle>>,
}

/// The order key of a message, and the consumer that gets the next message of the key.
type HeldKey = (KeyGuard<AckHandle>, Arc<dyn Consumer>);

/// A message that was pulled.
struct PulledMessage {
    envelope: Envelope,
    ack: AckHandle,
    /// For a message with an order key: the right to run events of the key, and the consumer of the
    /// next one.
    key: Mutex<Option<HeldKey>>,
    topic: Arc<Topic>,
}

// === impl PubSubPull ===

impl PubSubPull {
    pub(super) fn new(topic: Arc<Topic>) -> PubSubPull {
        let (project, name) = (&topic.spec.project, &topic.spec.subscription);
        let path = format!("v1/projects/{project}/subscriptions/{name}");
        PubSubPull {
            subscription: Subscription::new(topic.rest.clone(), path),
            topic,
            ordered: OrderedDispatch::new(),
        }
    }

    async fn pull_all(self: Arc<Self>, consumer: Arc<dyn Consumer>) {
        let extending = tokio::spawn(extend_waiting(self.ordered.clone(), consumer.clone()));
        while !consumer.is_stopping() {
            let free = self.free(&*consumer);
            if free == 0 || !self.topic.is_valid() {
                tokio::time::sleep(FULL_AGAIN).await;
                continue;
            }
            if let Err(error) = self.pull(free.min(PULL_MAX), &consumer).await {
                self.topic.mark_reachable(false);
                tracing::warn!(%error, "events cannot be pulled from Pub/Sub");
                tokio::time::sleep(FAILED_AGAIN).await;
            }
        }
        extending.abort();
    }

    /// How many messages of all hooks the node can use now.
    fn free(&self, consumer: &dyn Consumer) -> usize {
        let hooks = consumer.hooks();
        let capacities = hooks.iter().filter_map(|hook| consumer.capacity(hook));
        let free: usize = capacities.map(|capacity| capacity.free).sum();
        free.min(self.ordered.free())
    }

    async fn pull(&self, most: usize, consumer: &Arc<dyn Consumer>) -> Result<(), BrokerError> {
        let path = format!("{}:pull", self.subscription.path());
        let asked = json!({ "maxMessages": most });
        let body = match self.topic.rest.post(&path, &asked, PULL_TIMEOUT).await {
            Ok((200, body)) => body,
            Ok((status, body)) => {
                if status == 404 {
                    self.topic.mark_invalid();
                }
                return Err(BrokerError::Unavailable(describe_error(status, &body)));
            }
            Err(error) => return Err(BrokerError::Unavailable(error.to_string())),
        };
        self.topic.mark_reachable(true);

        let received = body["receivedMessages"].as_array();
        let received = received.map(Vec::as_slice).unwrap_or_default();
        let handles: Vec<AckHandle> = received.iter().map(|one| self.ack_handle(one)).collect();
        extend_all(&handles).await.ok();
        for (received, ack) in received.iter().zip(handles) {
            self.take(&received["message"], ack, consumer).await;
        }

        Ok(())
    }

    fn ack_handle(&self, received: &Value) -> AckHandle {
        let ack_id = received["ackId"].as_str().unwrap_or_default();
        AckHandle::new(self.subscription.clone(), ack_id.to_owned())
    }

    async fn take(&self, message: &Value, ack: AckHandle, consumer: &Arc<dyn Consumer>) {
        let data = message["data"].as_str().unwrap_or_default();
        let bytes = STANDARD.decode(data).unwrap_or_default();
        let hook = message["attributes"]["hook"].as_str().unwrap_or_default();
        match Envelope::decode(&bytes, &self.topic.seal, Some(hook)) {
            Ok(envelope) => self.handle(envelope, ack, consumer),
            Err(error @ DecodeError::Later(_)) => {
                tracing::error!(%error, "a message of the queue cannot be verified yet");
                ack.redeliver_after(LATER_AGAIN).await.ok();
            }
            Err(error) => {
                let id = message["messageId"].as_str().unwrap_or_default();
                consumer.reject(&error, id);
                self.dead_letter(&bytes, &error, ack).await;
            }
        }
    }

    fn handle(&self, envelope: Envelope, ack: AckHandle, consumer: &Arc<dyn Consumer>) {
        let Some(key) = &envelope.order_key else {
            consumer.handle(Arc::new(PulledMessage {
                envelope,
                ack,
                key: Mutex::new(None),
                topic: self.topic.clone(),
            }));
            return;
        };

        let key = ordering_key(envelope.hook(), key);
        if let Some(entered) = self.ordered.enter(key, envelope, ack) {
            handle_ordered(entered, consumer.clone(), self.topic.clone());
        }
    }

    async fn dead_letter(&self, bytes: &[u8], error: &DecodeError, ack: AckHandle) {
        let reason = error.to_string();
        match self.topic.dead_letter_undecodable(bytes, &reason).await {
            Ok(()) => drop(ack.ack().await),
            Err(error) => {
                tracing::error!(%error, "a message cannot be dead-lettered yet: the broker will redeliver it");
                ack.redeliver_after(LATER_AGAIN).await.ok();
            }
        }
    }
}

/// Hands a message with an order key to the consumer, if that still wants any.
fn handle_ordered(
    (envelope, ack, guard): (Envelope, AckHandle, KeyGuard<AckHandle>),
    consumer: Arc<dyn Consumer>,
    topic: Arc<Topic>,
) {
    if consumer.is_stopping() {
        return;
    }
    consumer.clone().handle(Arc::new(PulledMessage {
        envelope,
        ack,
        key: Mutex::new(Some((guard, consumer))),
        topic,
    }));
}

/// Extends the deadlines of the messages that wait behind others of their key.
async fn extend_waiting(ordered: Arc<OrderedDispatch<AckHandle>>, consumer: Arc<dyn Consumer>) {
    while !consumer.is_stopping() {
        tokio::time::sleep(EXTEND_EVERY).await;
        extend_all(&ordered.handles()).await.ok();
    }
}

impl Broker for PubSubPull {
    fn publish<'a>(&'a self, envelope: &'a Envelope) -> BoxFuture<'a, Result<(), BrokerError>> {
        self.topic.publish(envelope).boxed()
    }

    fn receive(self: Arc<Self>, consumer: Arc<dyn Consumer>) -> BoxFuture<'static, ()> {
        self.pull_all(consumer).boxed()
    }

    /// The subscription is pulled: no call of it is expected.
    fn receive_push(self: Arc<Self>, _: &[u8]) -> Result<Pushed, DecodeError> {
        Err(DecodeError::malformed(
            "the subscription of the queue is pulled and pushes nothing",
        ))
    }

    fn dead_letter_undecodable<'a>(
        &'a self,
        bytes: &'a [u8],
        reason: &'a str,
    ) -> BoxFuture<'a, Result<DeadLetterPlace, BrokerError>> {
        let stored = self.topic.dead_letter_undecodable(bytes, reason);
        async { stored.await.map(|()| DeadLetterPlace::Broker) }.boxed()
    }

    fn describe(&self) -> BoxFuture<'_, Vec<String>> {
        ready(self.topic.describe()).boxed()
    }

    fn check_health(&self) -> BoxFuture<'_, ()> {
        self.topic.recheck().boxed()
    }

    fn health_error(&self) -> BoxFuture<'_, Option<BrokerError>> {
        self.topic.check().map(Result::err).boxed()
    }

    fn is_available(&self) -> bool {
        self.topic.is_available()
    }

    fn paused_hook_delay(&self) -> Duration {
        PAUSED_HOOK_DELAY
    }

    /// Pub/Sub has no way to send a message to one node.
    fn replies(&self) -> Option<&dyn ReplyChannel> {
        None
    }
}

// === impl PulledMessage ===

impl PulledMessage {
    /// Acknowledges the message; the next one of its key then runs.
    async fn acknowledge(&self) -> Result<(), BrokerError> {
        self.ack.ack().await?;
        if let Some((guard, consumer)) = lock(&self.key).take()
            && let Some(next) = guard.pass_on()
        {
            handle_ordered(next, consumer, self.topic.clone());
        }
        Ok(())
    }

    /// A later attempt is a new message. A message with an order key waits here instead, so that no
    /// other one of its key overtakes it.
    async fn redeliver(&self, redelivery: Redelivery) -> Result<(), BrokerError> {
        let Redelivery { after, attempt, .. } = redelivery;
        if self.topic.publish_later(&self.envelope, redelivery).await? {
            return self.acknowledge().await;
        }

        let key = lock(&self.key).take();
        let Some((guard, consumer)) = key else {
            return self.ack.redeliver_after(after).await;
        };
        if attempt == self.envelope.attempt {
            // Another node may get the messages of the key. Those behind this one are redelivered
            // after it.
            let behind = guard.abandon();
            self.ack.redeliver_after(after).await?;
            return set_deadlines(&behind, after + BEHIND).await;
        }

        let envelope = Envelope {
            attempt,
            ..self.envelope.clone()
        };
        let (ack, topic) = (self.ack.clone(), self.topic.clone());
        tokio::spawn(async move {
            ack.hold(after).await;
            handle_ordered((envelope, ack, guard), consumer, topic);
        });
        Ok(())
    }
}

impl Message for PulledMessage {
    fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    fn ack(self: Arc<Self>) -> BoxFuture<'static, Result<(), BrokerError>> {
        async move { self.acknowledge().await }.boxed()
    }

    fn nack(
        self: Arc<Self>,
        redelivery: Redelivery,
    ) -> BoxFuture<'static, Result<(), BrokerError>> {
        async move { self.redeliver(redelivery).await }.boxed()
    }

    fn dead_letter(self: Arc<Self>, reason: String) -> BoxFuture<'static, Result<(), BrokerError>> {
        async move {
            self.topic.dead_letter(&self.envelope, &reason).await?;
            self.acknowledge().await
        }
        .boxed()
    }

    fn extend(&self) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.ack.extend().boxed()
    }
}
