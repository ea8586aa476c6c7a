//! A message of JetStream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::{AckKind, Acker};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::stream::{Stream, in_time};
use crate::broker::{Message, Redelivery};
use crate::envelope::Envelope;
use crate::error::BrokerError;

pub(super) struct NatsMessage {
    envelope: Envelope,
    acker: Acker,
    stream: Arc<Stream>,
}

// === impl NatsMessage ===

impl NatsMessage {
    pub(super) fn new(envelope: Envelope, acker: Acker, stream: Arc<Stream>) -> NatsMessage {
        NatsMessage {
            envelope,
            acker,
            stream,
        }
    }

    async fn acknowledge(&self) -> Result<(), BrokerError> {
        in_time(self.acker.double_ack()).await
    }

    async fn redeliver(&self, redelivery: Redelivery) -> Result<(), BrokerError> {
        if self
            .stream
            .publish_later(&self.envelope, redelivery)
            .await?
        {
            return self.acknowledge().await;
        }

        let after: Option<Duration> = Some(redelivery.after).filter(|after| !after.is_zero());
        in_time(self.acker.ack_with(AckKind::Nak(after))).await
    }
}

impl Message for NatsMessage {
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
            self.stream.dead_letter(&self.envelope, &reason).await?;
            self.acknowledge().await
        }
        .boxed()
    }

    fn extend(&self) -> BoxFuture<'_, Result<(), BrokerError>> {
        in_time(self.acker.ack_with(AckKind::Progress)).boxed()
    }
}
