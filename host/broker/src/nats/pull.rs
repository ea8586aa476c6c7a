//! Events of one hook, as they are fetched: all at once where there is no order, one of a part where there is.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::AckKind;
use async_nats::jetstream::{self, Context};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::{Handle, PARTS, PUBLISH_WITHIN};
use crate::broker::{self, Taker};
use crate::parcel::{LATER_AGAIN, Parcel, Unopened, reason};
use crate::seal::Seal;
use landfall_ledger::LEASE;

/// How long an empty pull waits.
const PULL_FOR: Duration = Duration::from_secs(5);
const PULL_MAX: usize = 64;
/// The same where a hook has events left from when it had an order.
const SWEEP_FOR: Duration = Duration::from_millis(500);
/// Out at a time, of a hook without an order: those that are to be tried again later count too.
const PENDING_MAX: i64 = 1_000_000;

/// Of one hook, as it was when its events were first asked for.
pub struct Pulled {
    pub context: Context,
    pub stream: String,
    pub hook: Arc<str>,
    pub is_ordered: bool,
    pub taker: Arc<dyn Taker>,
    pub connections: watch::Receiver<()>,
    pub seal: Arc<Seal>,
}

// === impl Pulled ===

impl Pulled {
    /// Everything of the hook, until it is not there any more or is another.
    pub async fn pull_all(&self) {
        let mut pulls = vec![self.pull_part("all".to_owned()).boxed()];
        match self.is_ordered {
            true => pulls.extend((0..PARTS).map(|part| self.pull_part(part.to_string()).boxed())),
            false => pulls.push(self.sweep().boxed()),
        }
        futures_util::future::join_all(pulls).await;
    }

    /// How many may be brought now; none: it is over.
    fn room(&self) -> Option<usize> {
        let (room, is_ordered) = self.taker.room(&self.hook)?;
        (is_ordered == self.is_ordered && !self.taker.is_stopping()).then_some(room)
    }

    async fn pull_part(&self, part: String) {
        let mut consumer = None;
        while let Some(room) = self.room() {
            if room == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            let pulled = async {
                let consumer = match &mut consumer {
                    Some(consumer) => consumer,
                    none => none.insert(self.consume(&part).await?),
                };
                let room = if part == "all" { room.min(PULL_MAX) } else { 1 };
                self.pull(consumer, room, PULL_FOR).await
            };
            if let Err(why) = pulled.await {
                self.complain(why);
                consumer = None;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// A hook that had an order once may have events that wait for others of their key.
    async fn sweep(&self) {
        while self.room().is_some() {
            let mut left = self.left().await.unwrap_or_default();
            // Whoever has many parts at a time gets no more than there is room for.
            left.truncate(self.room().unwrap_or_default());
            if left.is_empty() {
                tokio::time::sleep(PULL_FOR).await;
            }
            for part in left {
                let pulled = async { self.pull(&self.consume(&part).await?, 1, SWEEP_FOR).await };
                if let Err(why) = pulled.await {
                    self.complain(why);
                    tokio::time::sleep(PULL_FOR).await;
                }
            }
        }
    }

    /// Parts that have events.
    async fn left(&self) -> Option<Vec<String>> {
        let stream = self.context.get_stream_no_info(&self.stream).await.ok()?;
        let before = format!("{}.{}.", self.stream, self.hook);
        let mut subjects = stream.info_with_subjects(format!("{before}*")).await.ok()?;
        let mut left = Vec::new();
        while let Some(Ok((subject, _))) = subjects.next().await {
            left.extend(
                subject
                    .strip_prefix(&before)
                    .filter(|part| *part != "all")
                    .map(str::to_owned),
            );
        }
        Some(left)
    }

    fn complain(&self, why: String) {
        tracing::warn!(
            hook = &*self.hook,
            why,
            "events cannot be fetched from the queue"
        );
    }

    /// Hands over what comes within a while, or until there is another connection.
    async fn pull(
        &self,
        consumer: &PullConsumer,
        room: usize,
        within: Duration,
    ) -> Result<(), String> {
        let mut connections = self.connections.clone();
        connections.mark_unchanged();
        let batch = consumer
            .batch()
            .max_messages(room)
            .expires(within)
            .messages()
            .await;
        let mut batch = batch.map_err(|error| error.to_string())?;
        loop {
            let message = tokio::select! {
                biased;
                message = batch.next() => message,
                _ = connections.changed() => return Ok(()),
            };
            let Some(message) = message else {
                return Ok(());
            };
            self.take(message.map_err(|error| error.to_string())?).await;
        }
    }

    async fn take(&self, message: jetstream::Message) {
        let (message, acker) = message.split();
        let unopened = match Parcel::open(&message.payload, &self.seal, Some(&self.hook)) {
            Ok(parcel) => return self.taker.take(parcel, broker::Handle::Nats(Handle(acker))),
            Err(Unopened::Later(why)) => {
                tracing::error!(
                    why,
                    hook = &*self.hook,
                    "a message of the queue cannot be verified yet"
                );
                acker.ack_with(AckKind::Nak(Some(LATER_AGAIN))).await.ok();
                return;
            }
            Err(unopened) => unopened,
        };
        self.taker.refuse(&unopened, &message.subject);
        // Nothing is let go of that nobody has.
        let (_, why) = unopened.parts();
        match bury_raw(
            &self.context,
            &self.stream,
            &self.hook,
            why,
            message.payload.clone(),
        )
        .await
        {
            Ok(()) => drop(acker.ack_with(AckKind::Term).await),
            Err(why) => {
                tracing::error!(
                    why,
                    "a message cannot be dead-lettered yet: the broker will redeliver it"
                );
                acker.ack_with(AckKind::Nak(Some(LATER_AGAIN))).await.ok();
            }
        }
    }

    async fn consume(&self, part: &str) -> Result<PullConsumer, String> {
        let Pulled {
            context,
            stream,
            hook,
            ..
        } = self;
        let name = format!("{hook}-{part}");
        let wanted = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: format!("{stream}.{hook}.{part}"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: LEASE,
            max_deliver: -1,
            max_ack_pending: if part == "all" { PENDING_MAX } else { 1 },
            ..pull::Config::default()
        };
        let stream = context
            .get_stream(stream)
            .await
            .map_err(|error| error.to_string())?;
        stream
            .create_consumer(wanted)
            .await
            .map_err(|error| format!("consumer {name}: {error}"))
    }
}

/// What nobody can read is kept as it is.
async fn bury_raw(
    context: &Context,
    stream: &str,
    hook: &str,
    why: &str,
    bytes: bytes::Bytes,
) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    headers.insert("Landfall-Reason", reason(why).as_str());
    let kept = async {
        context
            .publish_with_headers(format!("{stream}-dead.{hook}"), headers, bytes)
            .await?
            .await
    };
    match tokio::time::timeout(PUBLISH_WITHIN, kept).await {
        Ok(kept) => kept.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".into()),
    }
}
