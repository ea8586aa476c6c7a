//! NATS JetStream: one stream with the retention of a work queue, a durable consumer for each hook,
//! and a stream of dead letters. Events of a hook with an order key go through partitions, each
//! with one event at a time.
//!
//! Source: docs.nats.io/nats-concepts/jetstream.

mod connect;
mod describe;
mod message;
mod pull;
mod settings;
mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use landfall_model::{Clock, lock};
use tokio::sync::watch;
use uuid::Uuid;

use self::connect::{ANSWER_TIMEOUT, connect};
use self::pull::HookPuller;
use self::settings::{NatsSpec, URL_FORM};
use self::stream::Stream;
use crate::broker::{Broker, Consumer, DeadLetterPlace, PUBLISH_TIMEOUT, Pushed, ReplyChannel};
use crate::client::operator_client;
use crate::envelope::Envelope;
use crate::error::{BrokerError, DecodeError};
use crate::kind::{BrokerPlan, ConnectOptions, Kind};
use crate::seal::Seal;

pub(crate) const KIND: Kind = Kind {
    schemes: &["nats", "tls"],
    url_form: URL_FORM,
    keys: &["stream", "replicas", "storage", "monitor"],
    plan: |settings| Ok(Arc::new(NatsSpec::new(settings)?)),
};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A stream that cannot be used is checked again after this.
const MISCONFIGURED_AGAIN: Duration = Duration::from_secs(5);
/// Events of paused and missing hooks are not pulled: few are deferred, and not for long.
const PAUSED_HOOK_DELAY: Duration = Duration::from_secs(3);
/// The hook name of dead letters that name no hook.
const NO_HOOK: &str = "_queue";

/// A connection, its streams and consumers.
pub(crate) struct Nats {
    stream: Arc<Stream>,
    monitor: Option<landfall_egress::Client>,
    /// This start of this node.
    node: Uuid,
    /// Why there was no connection at the start.
    start_error: Option<BrokerError>,
    /// Changes with every connection: pulls over an old one are not answered any more.
    connections: watch::Receiver<()>,
    /// The tasks that pull, by hook.
    pullers: Mutex<HashMap<Arc<str>, tokio::task::JoinHandle<()>>>,
}

// === impl NatsSpec ===

impl BrokerPlan for NatsSpec {
    fn connect(
        &self,
        options: ConnectOptions,
    ) -> BoxFuture<'static, Result<Arc<dyn Broker>, BrokerError>> {
        let spec = self.clone();
        async move {
            let monitor = match &spec.monitor {
                Some(url) => Some(operator_client(url)?),
                None => None,
            };
            let ConnectOptions {
                url, seal, clock, ..
            } = options;
            let nats = Nats::start(spec, &url, monitor, seal, clock).await?;
            Ok(Arc::new(nats) as Arc<dyn Broker>)
        }
        .boxed()
    }
}

// === impl Nats ===

impl Nats {
    /// Returns when the streams exist, or the server does not answer. An error: they exist and are
    /// not as they must be.
    async fn start(
        spec: NatsSpec,
        servers: &str,
        monitor: Option<landfall_egress::Client>,
        seal: Arc<Seal>,
        clock: Clock,
    ) -> Result<Nats, BrokerError> {
        let (changed, connections) = watch::channel(());
        let (client, start_error) = connect(servers, &changed).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(PUBLISH_TIMEOUT);
        let stream = Stream::new(client, context, spec, seal, clock);

        match tokio::time::timeout(ANSWER_TIMEOUT, stream.prepare()).await {
            Ok(Ok(())) => {}
            Ok(Err(error @ BrokerError::Misconfigured(_))) => return Err(error),
            Ok(Err(error)) => {
                tracing::error!(%error, "the queue cannot be reached: events are refused until it is")
            }
            Err(_) => {
                tracing::error!("the queue cannot be reached: events are refused until it is")
            }
        }

        Ok(Nats {
            stream: Arc::new(stream),
            monitor,
            node: Uuid::new_v4(),
            start_error,
            connections,
            pullers: Mutex::default(),
        })
    }

    /// Pulls the events of every hook, until the consumer is stopping.
    async fn pull_hooks(&self, consumer: Arc<dyn Consumer>) {
        while !consumer.is_stopping() {
            if !self.stream.is_prepared()
                && let Err(error @ BrokerError::Misconfigured(_)) = self.stream.prepare().await
            {
                tracing::error!(%error, "the queue is not used");
                tokio::time::sleep(MISCONFIGURED_AGAIN).await;
            }
            if self.is_available() {
                self.pull_new_hooks(&consumer);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn pull_new_hooks(&self, consumer: &Arc<dyn Consumer>) {
        let hooks = consumer.hooks();
        let mut pullers = lock(&self.pullers);
        pullers.retain(|_, puller| !puller.is_finished());
        for hook in hooks {
            pullers.entry(hook).or_insert_with_key(|hook| {
                let capacity = consumer.capacity(hook);
                let puller = HookPuller {
                    stream: self.stream.clone(),
                    hook: hook.clone(),
                    is_ordered: capacity.is_some_and(|capacity| capacity.is_ordered),
                    consumer: consumer.clone(),
                    connections: self.connections.clone(),
                };
                tokio::spawn(async move { puller.pull_all().await })
            });
        }
    }

    fn current_error(&self) -> Option<BrokerError> {
        if self.is_available() {
            return None;
        }
        Some(self.start_error.clone().unwrap_or_else(|| {
            BrokerError::Unavailable(
                "its servers do not answer, or its stream does not exist".into(),
            )
        }))
    }

    async fn send_reply(&self, reply_to: &str, reply: Vec<u8>) {
        match self.stream.seal.seal_reply(reply) {
            Ok(reply) if reply.len() < self.stream.max_bytes() => {
                let client = &self.stream.client;
                client.publish(reply_to.to_owned(), reply.into()).await.ok();
            }
            Ok(reply) => tracing::debug!(
                bytes = reply.len(),
                "a reply is too large to be sent to the node that holds the caller's connection"
            ),
            Err(error) => tracing::warn!(
                %error,
                "the reply cannot be sent to the node that holds the caller's connection"
            ),
        }
    }

    async fn listen(&self, on_reply: &(dyn Fn(&[u8]) + Send + Sync)) {
        let client = &self.stream.client;
        while let Ok(mut replies) = client.subscribe(self.reply_to()).await {
            while let Some(reply) = replies.next().await {
                match self.stream.seal.open_reply(&reply.payload) {
                    Some(reply) => on_reply(reply),
                    None => tracing::debug!(
                        "a reply of another node has no MAC of queue.key: it is not used"
                    ),
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Broker for Nats {
    fn publish<'a>(&'a self, envelope: &'a Envelope) -> BoxFuture<'a, Result<(), BrokerError>> {
        self.stream.publish(envelope).boxed()
    }

    fn receive(self: Arc<Self>, consumer: Arc<dyn Consumer>) -> BoxFuture<'static, ()> {
        async move { self.pull_hooks(consumer).await }.boxed()
    }

    /// NATS does not push to an endpoint.
    fn receive_push(self: Arc<Self>, _: &[u8]) -> Result<Pushed, DecodeError> {
        Err(DecodeError::malformed("NATS pushes nothing"))
    }

    fn dead_letter_undecodable<'a>(
        &'a self,
        bytes: &'a [u8],
        reason: &'a str,
    ) -> BoxFuture<'a, Result<DeadLetterPlace, BrokerError>> {
        async move {
            let bytes = bytes.to_vec().into();
            self.stream
                .dead_letter_bytes(NO_HOOK, bytes, reason)
                .await?;
            Ok(DeadLetterPlace::Broker)
        }
        .boxed()
    }

    fn describe(&self) -> BoxFuture<'_, Vec<String>> {
        describe::describe(&self.stream, self.monitor.as_ref()).boxed()
    }

    /// The connection reports its state by itself.
    fn check_health(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn health_error(&self) -> BoxFuture<'_, Option<BrokerError>> {
        std::future::ready(self.current_error()).boxed()
    }

    fn is_available(&self) -> bool {
        self.stream.is_available()
    }

    fn paused_hook_delay(&self) -> Duration {
        PAUSED_HOOK_DELAY
    }

    fn replies(&self) -> Option<&dyn ReplyChannel> {
        Some(self)
    }
}

impl ReplyChannel for Nats {
    fn reply_to(&self) -> String {
        format!("{}-answers.{}", self.stream.spec.stream, self.node.simple())
    }

    fn publish_reply<'a>(&'a self, reply_to: &'a str, reply: Vec<u8>) -> BoxFuture<'a, ()> {
        self.send_reply(reply_to, reply).boxed()
    }

    fn subscribe_replies<'a>(
        &'a self,
        on_reply: &'a (dyn Fn(&[u8]) + Send + Sync),
    ) -> BoxFuture<'a, ()> {
        self.listen(on_reply).boxed()
    }
}
