//! Pulls the events of one hook: all at once if the hook has no order, one of a partition at a time
//! if it has one.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::message::NatsMessage;
use super::stream::{PARTITIONS, Stream};
use crate::broker::Consumer;
use crate::envelope::{Envelope, LATER_AGAIN};
use crate::error::{BrokerError, DecodeError};

/// A message whose node is silent for this long is redelivered.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How long an empty pull waits.
const PULL_FOR: Duration = Duration::from_secs(5);
const PULL_MAX: usize = 64;
/// How long a pull waits for events that a hook has left from when it had an order.
const SWEEP_FOR: Duration = Duration::from_millis(500);
const FULL_AGAIN: Duration = Duration::from_millis(20);
const FAILED_AGAIN: Duration = Duration::from_secs(1);
/// The messages of a hook without an order that may be unacknowledged: those that wait for a later
/// attempt count too.
const PENDING_MAX: i64 = 1_000_000;
/// The consumer of events without an order key.
const UNORDERED: &str = "all";

/// Pulls the events of one hook, as the hook was when pulling began.
pub(super) struct HookPuller {
    pub stream: Arc<Stream>,
    pub hook: Arc<str>,
    pub is_ordered: bool,
    pub consumer: Arc<dyn Consumer>,
    pub connections: watch::Receiver<()>,
}

// === impl HookPuller ===

impl HookPuller {
    /// Pulls until the hook is removed or changed.
    pub(super) async fn pull_all(&self) {
        let mut pulls = vec![self.pull_partition(UNORDERED.to_owned()).boxed()];
        if self.is_ordered {
            let partitions = 0..PARTITIONS;
            pulls.extend(partitions.map(|number| self.pull_partition(number.to_string()).boxed()));
        } else {
            pulls.push(self.sweep().boxed());
        }
        futures_util::future::join_all(pulls).await;
    }

    /// How many events can start now. `None`: this puller is done.
    fn free(&self) -> Option<usize> {
        let capacity = self.consumer.capacity(&self.hook)?;
        let is_same = capacity.is_ordered == self.is_ordered;
        (is_same && !self.consumer.is_stopping()).then_some(capacity.free)
    }

    async fn pull_partition(&self, partition: String) {
        let mut pulls = None;
        while let Some(free) = self.free() {
            if free == 0 {
                tokio::time::sleep(FULL_AGAIN).await;
                continue;
            }
            let most = if partition == UNORDERED {
                free.min(PULL_MAX)
            } else {
                1
            };
            let pulled = async {
                let pulls = match &mut pulls {
                    Some(pulls) => pulls,
                    none => none.insert(self.create_consumer(&partition).await?),
                };
                self.pull(pulls, most, PULL_FOR).await
            };
            if let Err(error) = pulled.await {
                self.log_failure(&error);
                pulls = None;
                tokio::time::sleep(FAILED_AGAIN).await;
            }
        }
    }

    /// A hook that had an order once may have events left in its partitions.
    async fn sweep(&self) {
        while self.free().is_some() {
            let mut left = self.partitions_left().await.unwrap_or_default();
            // Several partitions at a time deliver no more events than can start.
            left.truncate(self.free().unwrap_or_default());
            if left.is_empty() {
                tokio::time::sleep(PULL_FOR).await;
            }
            for partition in left {
                let pulled = async {
                    let pulls = self.create_consumer(&partition).await?;
                    self.pull(&pulls, 1, SWEEP_FOR).await
                };
                if let Err(error) = pulled.await {
                    self.log_failure(&error);
                    tokio::time::sleep(PULL_FOR).await;
                }
            }
        }
    }

    /// The partitions that have events.
    async fn partitions_left(&self) -> Option<Vec<String>> {
        let name = &self.stream.spec.stream;
        let stream = self.stream.context.get_stream_no_info(name).await.ok()?;
        let prefix = format!("{name}.{}.", self.hook);
        let mut subjects = stream.info_with_subjects(format!("{prefix}*")).await.ok()?;
        let mut left = Vec::new();
        while let Some(Ok((subject, _))) = subjects.next().await {
            let partition = subject.strip_prefix(&prefix);
            left.extend(
                partition
                    .filter(|partition| *partition != UNORDERED)
                    .map(str::to_owned),
            );
        }
        Some(left)
    }

    fn log_failure(&self, error: &BrokerError) {
        tracing::warn!(hook = &*self.hook, %error, "events cannot be pulled from the queue");
    }

    /// Handles the messages that come within this time, or until the connection is another one.
    async fn pull(
        &self,
        pulls: &PullConsumer,
        most: usize,
        within: Duration,
    ) -> Result<(), BrokerError> {
        let mut connections = self.connections.clone();
        connections.mark_unchanged();
        let batch = pulls
            .batch()
            .max_messages(most)
            .expires(within)
            .messages()
            .await;
        let mut batch = batch.map_err(unavailable)?;
        loop {
            let message = tokio::select! {
                biased;
                message = batch.next() => message,
                _ = connections.changed() => return Ok(()),
            };
            let Some(message) = message else {
                return Ok(());
            };
            self.take(message.map_err(unavailable)?).await;
        }
    }

    async fn take(&self, message: jetstream::Message) {
        let (message, acker) = message.split();
        match Envelope::decode(&message.payload, &self.stream.seal, Some(&self.hook)) {
            Ok(envelope) => {
                let message = NatsMessage::new(envelope, acker, self.stream.clone());
                self.consumer.handle(Arc::new(message));
            }
            Err(error @ DecodeError::Later(_)) => {
                tracing::error!(%error, hook = &*self.hook, "a message of the queue cannot be verified yet");
                acker.ack_with(AckKind::Nak(Some(LATER_AGAIN))).await.ok();
            }
            Err(error) => {
                self.consumer.reject(&error, &message.subject);
                self.dead_letter(message.payload, &error, acker).await;
            }
        }
    }

    /// The message is terminated only after its copy is stored.
    async fn dead_letter(&self, bytes: bytes::Bytes, error: &DecodeError, acker: Acker) {
        let reason = error.to_string();
        let stored = self
            .stream
            .dead_letter_bytes(&self.hook, bytes, &reason)
            .await;
        match stored {
            Ok(()) => drop(acker.ack_with(AckKind::Term).await),
            Err(error) => {
                tracing::error!(%error, "a message cannot be dead-lettered yet: the broker will redeliver it");
                acker.ack_with(AckKind::Nak(Some(LATER_AGAIN))).await.ok();
            }
        }
    }

    async fn create_consumer(&self, partition: &str) -> Result<PullConsumer, BrokerError> {
        let (stream, hook) = (&self.stream.spec.stream, &self.hook);
        let name = format!("{hook}-{partition}");
        let wanted = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: format!("{stream}.{hook}.{partition}"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: if partition == UNORDERED {
                PENDING_MAX
            } else {
                1
            },
            ..pull::Config::default()
        };
        let stream = self.stream.context.get_stream(stream).await;
        stream
            .map_err(unavailable)?
            .create_consumer(wanted)
            .await
            .map_err(|error| BrokerError::Unavailable(format!("consumer {name}: {error}")))
    }
}

fn unavailable(error: impl std::fmt::Display) -> BrokerError {
    BrokerError::Unavailable(error.to_string())
}
