//! A subscription that pushes to the node. The answer to a call settles its message.
//!
//! Source: cloud.google.com/pubsub/docs/push#receive_push.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::topic::Topic;
use crate::broker::{
    Broker, Consumer, DeadLetterPlace, Message, PushAnswer, Pushed, Redelivery, ReplyChannel,
};
use crate::envelope::Envelope;
use crate::error::{BrokerError, DecodeError};
use crate::push::PushCall;

/// Messages of all hooks are delivered.
const PAUSED_HOOK_DELAY: Duration = Duration::from_secs(30);

/// Pub/Sub with a subscription that pushes.
pub(super) struct PubSubPush {
    topic: Arc<Topic>,
}

/// A message that was pushed.
struct PushedMessage {
    envelope: Envelope,
    call: PushCall,
    topic: Arc<Topic>,
}

/// The body of a call.
#[derive(Deserialize)]
struct Body {
    message: Wrapped,
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(default)]
    data: String,
    #[serde(default)]
    attributes: HashMap<String, String>,
}

// === impl PubSubPush ===

impl PubSubPush {
    pub(super) fn new(topic: Arc<Topic>) -> PubSubPush {
        PubSubPush { topic }
    }

    /// The envelope in the body of a call: wrapped in JSON, or as it is if the subscription unwraps
    /// payloads.
    fn decode(&self, body: &[u8]) -> Result<Envelope, DecodeError> {
        let Ok(Body { message }) = serde_json::from_slice::<Body>(body) else {
            return Envelope::decode(body, &self.topic.seal, None);
        };

        let bytes = STANDARD
            .decode(message.data)
            .map_err(|_| DecodeError::malformed("its data is not base64"))?;
        let hook = message.attributes.get("hook").map_or("", String::as_str);
        Envelope::decode(&bytes, &self.topic.seal, Some(hook))
    }
}

impl Broker for PubSubPush {
    fn publish<'a>(&'a self, envelope: &'a Envelope) -> BoxFuture<'a, Result<(), BrokerError>> {
        self.topic.publish(envelope).boxed()
    }

    /// The subscription pushes (`receive_push`): there is nothing to pull.
    fn receive(self: Arc<Self>, _: Arc<dyn Consumer>) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }

    fn receive_push(self: Arc<Self>, body: &[u8]) -> Result<Pushed, DecodeError> {
        let envelope = self.decode(body)?;
        let (call, answer) = PushCall::new();
        let message = Arc::new(PushedMessage {
            envelope,
            call,
            topic: self.topic.clone(),
        });

        Ok(Pushed { message, answer })
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

// === impl PushedMessage ===

impl Message for PushedMessage {
    fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    fn ack(self: Arc<Self>) -> BoxFuture<'static, Result<(), BrokerError>> {
        self.call.answer(PushAnswer::Done);
        ready(Ok(())).boxed()
    }

    /// A later attempt is a new message. If the attempt was not made, the subscription redelivers
    /// by its retry policy.
    fn nack(
        self: Arc<Self>,
        redelivery: Redelivery,
    ) -> BoxFuture<'static, Result<(), BrokerError>> {
        async move {
            let is_sent = self.topic.publish_later(&self.envelope, redelivery).await?;
            self.call.answer(if is_sent {
                PushAnswer::Done
            } else {
                PushAnswer::Redeliver
            });
            Ok(())
        }
        .boxed()
    }

    fn dead_letter(self: Arc<Self>, reason: String) -> BoxFuture<'static, Result<(), BrokerError>> {
        async move {
            self.topic.dead_letter(&self.envelope, &reason).await?;
            self.call.answer(PushAnswer::Done);
            Ok(())
        }
        .boxed()
    }

    /// The open call keeps the message, up to the acknowledgement deadline of the subscription,
    /// which a push cannot extend.
    fn extend(&self) -> BoxFuture<'_, Result<(), BrokerError>> {
        ready(Ok(())).boxed()
    }
}
