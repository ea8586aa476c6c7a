//! NATS JetStream: one stream with the interest of a work queue, a durable consumer for each hook, and a stream of the dead. Events of a
//! hook with an order key go through partitions, each with one event at a time.
//!
//! Source: docs.nats.io/nats-concepts/jetstream.

mod connect;
mod pull;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{AckKind, Acker};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use self::connect::connect;
use self::pull::Pulled;
use super::broker::{Taker, Unfit};
use super::parcel::{Parcel, reason};
use super::seal::Seal;
use landfall_ledger::LedgerError;
use landfall_model::{Clock, NatsSpec};

/// Nobody waits longer for the word that an event is kept.
const PUBLISH_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A stream that cannot be used is looked at again after this.
const UNFIT_AGAIN: Duration = Duration::from_secs(5);
/// Parts of a hook with an order key: keys of one part wait for each other.
const PARTS: u8 = 8;
/// How long the dead are kept.
const DEAD_FOR: Duration = Duration::from_secs(30 * 86_400);
/// In this long, the same event is taken once.
const DUPLICATES: Duration = Duration::from_secs(120);

/// A connection, its streams and consumers.
pub struct Nats {
    client: Client,
    context: Context,
    spec: NatsSpec,
    /// The streams are there and are what they must be.
    is_prepared: AtomicBool,
    monitor: Option<landfall_egress::Client>,
    seal: Arc<Seal>,
    /// This start of this node.
    node: Uuid,
    /// Why there was no connection at the start.
    away: Option<String>,
    /// Rings when there is another connection, or none: what was asked for on the old one is not answered any more.
    connections: watch::Receiver<()>,
    /// Hooks that are asked for.
    pulled: Mutex<HashMap<Arc<str>, tokio::task::JoinHandle<()>>>,
}

/// Of an event that was brought.
pub struct Handle(Acker);

// === impl Nats ===

impl Nats {
    /// Returns when the streams are there, or the server is not. An error: they are there and are not what they must be.
    pub async fn start(
        spec: NatsSpec,
        servers: &str,
        monitor: Option<landfall_egress::Client>,
        seal: Arc<Seal>,
    ) -> Result<Nats, String> {
        let (changed, connections) = watch::channel(());
        let (client, away) = connect(servers, &changed).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(PUBLISH_WITHIN);
        let nats = Nats {
            client,
            context,
            spec,
            is_prepared: AtomicBool::new(false),
            monitor,
            seal,
            node: Uuid::new_v4(),
            connections,
            away,
            pulled: Mutex::default(),
        };
        match tokio::time::timeout(ANSWER_WITHIN, nats.prepare()).await {
            Ok(Err(Unfit::Wrong(why))) => return Err(why),
            Ok(Err(Unfit::Away(why))) => {
                tracing::error!(
                    why,
                    "the queue cannot be reached: events are refused until it is"
                )
            }
            Err(_) => {
                tracing::error!("the queue cannot be reached: events are refused until it is")
            }
            Ok(Ok(())) => {}
        }
        Ok(nats)
    }

    /// Why it is not there now, if it is not.
    pub fn problem(&self) -> Option<String> {
        let unknown = || "its servers do not answer, or its stream is not there".to_owned();
        (!self.is_there()).then(|| self.away.clone().unwrap_or_else(unknown))
    }

    /// Whether the streams are there, as far as is known.
    pub fn is_there(&self) -> bool {
        let is_connected =
            self.client.connection_state() == async_nats::connection::State::Connected;
        is_connected && self.is_prepared.load(Ordering::Relaxed)
    }

    /// Makes and verifies the MACs of envelopes.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// The most bytes of a parcel, beside its headers.
    pub fn most(&self) -> usize {
        const HEADERS: usize = 1024;
        match self.client.max_payload() {
            // It has never been there: it says 503 soon enough.
            0 => usize::MAX,
            most => most.saturating_sub(HEADERS),
        }
    }

    /// Where this node hears replies.
    pub fn answer_to(&self) -> String {
        format!("{}-answers.{}", self.spec.stream, self.node.simple())
    }

    /// False: it had it already.
    pub async fn publish(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<bool, LedgerError> {
        if !self.is_there() {
            return Err(LedgerError::QueueAway(
                "there is no connection to NATS, or its stream is not there".into(),
            ));
        }
        let subject = format!(
            "{}.{}",
            self.spec.stream,
            subject(parcel.hook(), parcel.new.order_key.as_deref())
        );
        self.send(subject, &parcel.key(DUPLICATES), HeaderMap::new(), bytes)
            .await
    }

    /// Sends a later try as a new message, with its number. False: the old one has to come again, or an order would be spoilt.
    pub async fn send_later(
        &self,
        parcel: &Parcel,
        pause: Duration,
        number: u32,
    ) -> Result<bool, LedgerError> {
        if number == parcel.number || parcel.new.order_key.is_some() {
            return Ok(false);
        }
        let later = Parcel {
            number,
            due: Some(Clock::System.now() + pause),
            ..parcel.clone()
        };
        self.publish(&later, later.bytes(&self.seal)?)
            .await
            .map(|_| true)
    }

    pub async fn bury(&self, parcel: &Parcel, why: &str) -> Result<(), LedgerError> {
        let mut headers = HeaderMap::new();
        headers.insert("Landfall-Reason", reason(why).as_str());
        let subject = format!("{}-dead.{}", self.spec.stream, parcel.hook());
        // Each message of it that is still out comes to its end here.
        let id = format!("dead-{}", parcel.new.stored.event().id);
        self.send(subject, &id, headers, parcel.bytes(&self.seal)?)
            .await
            .map(drop)
    }

    async fn send(
        &self,
        subject: String,
        id: &str,
        mut headers: HeaderMap,
        bytes: Vec<u8>,
    ) -> Result<bool, LedgerError> {
        headers.insert("Nats-Msg-Id", id);
        let kept = async {
            self.context
                .publish_with_headers(subject, headers, bytes.into())
                .await?
                .await
        };
        match tokio::time::timeout(PUBLISH_WITHIN, kept).await {
            Ok(Ok(kept)) => Ok(!kept.duplicate),
            Ok(Err(error)) => {
                // It was deleted, or lost with a server that keeps nothing.
                if error.kind() == PublishErrorKind::StreamNotFound {
                    self.is_prepared.store(false, Ordering::Relaxed);
                }
                Err(LedgerError::QueueAway(error.to_string()))
            }
            Err(_) => Err(LedgerError::QueueAway(format!(
                "no answer within {} s",
                PUBLISH_WITHIN.as_secs()
            ))),
        }
    }

    /// Tells the node that has a caller waiting; best effort.
    pub async fn tell(&self, answer_to: &str, answer: Vec<u8>) {
        match self.seal.answer(answer) {
            Ok(answer) if answer.len() < self.most() => {
                self.client
                    .publish(answer_to.to_owned(), answer.into())
                    .await
                    .ok();
            }
            Ok(_) => {}
            Err(why) => tracing::warn!(
                why,
                "the reply cannot be sent to the node that holds the caller's connection"
            ),
        }
    }

    /// What other nodes tell this one, until the process stops.
    pub async fn hear(&self, heard: impl Fn(&[u8])) {
        while let Ok(mut answers) = self.client.subscribe(self.answer_to()).await {
            while let Some(answer) = answers.next().await {
                match self.seal.open_answer(&answer.payload) {
                    Some(answer) => heard(answer),
                    None => tracing::debug!(
                        "a reply of another node has no MAC of queue.key: it is not used"
                    ),
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Makes or checks both streams.
    async fn prepare(&self) -> Result<(), Unfit> {
        let name = &self.spec.stream;
        let storage = if self.spec.in_memory {
            StorageType::Memory
        } else {
            StorageType::File
        };
        let common = Config {
            storage,
            num_replicas: self.spec.replicas,
            duplicate_window: DUPLICATES,
            ..Config::default()
        };
        let events = Config {
            name: name.clone(),
            subjects: vec![format!("{name}.*.*")],
            retention: RetentionPolicy::WorkQueue,
            // Full means that senders are told so; what is kept is never thrown away for what comes.
            discard: DiscardPolicy::New,
            ..common.clone()
        };
        let dead = Config {
            name: format!("{name}-dead"),
            subjects: vec![format!("{name}-dead.*")],
            max_age: DEAD_FOR,
            ..common
        };
        for wanted in [events, dead] {
            let made = self.context.get_or_create_stream(wanted.clone()).await;
            let made = made.map_err(|error| cannot_make(&wanted.name, &error))?;
            unfit(&wanted, &made.cached_info().config)
                .map_or(Ok(()), |why| Err(Unfit::Wrong(why)))?;
        }
        self.is_prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Asks for the events of every hook that is there, until nothing more is wanted.
    pub async fn bring(&self, taker: Arc<dyn Taker>) {
        while !taker.is_stopping() {
            if !self.is_prepared.load(Ordering::Relaxed)
                && let Err(Unfit::Wrong(why)) = self.prepare().await
            {
                tracing::error!(why, "the queue is not used");
                tokio::time::sleep(UNFIT_AGAIN).await;
            }
            if self.is_there() {
                self.pull_new(&taker);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn pull_new(&self, taker: &Arc<dyn Taker>) {
        let hooks = taker.hooks();
        let mut pulled = self
            .pulled
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        pulled.retain(|_, puller| !puller.is_finished());
        for hook in hooks {
            pulled.entry(hook).or_insert_with_key(|hook| {
                let (context, stream, taker) = (
                    self.context.clone(),
                    self.spec.stream.clone(),
                    taker.clone(),
                );
                let is_ordered = taker.room(hook).is_some_and(|(_, is_ordered)| is_ordered);
                let (hook, connections) = (hook.clone(), self.connections.clone());
                let seal = self.seal.clone();
                let pulled = Pulled {
                    context,
                    stream,
                    hook,
                    is_ordered,
                    taker,
                    connections,
                    seal,
                };
                tokio::spawn(async move { pulled.pull_all().await })
            });
        }
    }

    /// What is in force, in words.
    pub async fn facts(&self) -> Vec<String> {
        let name = &self.spec.stream;
        let stream = match self.context.get_stream(name).await {
            Ok(stream) => stream,
            Err(error) => {
                return vec![format!(
                    "NATS JetStream: stream {name} cannot be asked: {error}"
                )];
            }
        };
        let info = stream.cached_info();
        let storage = match info.config.storage {
            StorageType::File => "on disk",
            StorageType::Memory => "in memory: what is accepted does not outlive the server",
        };
        let (replicas, waiting) = (info.config.num_replicas, info.state.messages);
        let mut facts = vec![format!(
            "NATS JetStream: stream {name}, replicas {replicas}, {storage}, {waiting} events wait"
        )];
        facts.push(match self.sync().await {
            Ok(true) => "the server syncs every write: what is accepted survives power loss".into(),
            Ok(false) if replicas > 1 => format!(
                "the server syncs now and then: what is accepted survives the loss of {} of {replicas} servers, and not of all of them at once",
                (replicas - 1) / 2
            ),
            Ok(false) => "the server syncs now and then, and there is one replica: events accepted just before a loss of power may be lost; set sync_interval: always, or queue.replicas = 3".into(),
            Err(why) => format!("whether the server syncs every write is not known ({why}); by default it does so every 2 minutes only"),
        });
        facts
    }

    /// Whether it syncs every write.
    async fn sync(&self) -> Result<bool, String> {
        let (Some(client), Some(url)) = (&self.monitor, &self.spec.monitor) else {
            return Err("name its monitoring address in queue.monitor".into());
        };
        let url = format!("{}/varz", url.trim_end_matches('/'));
        let (status, body) = super::rest::get(client, &url)
            .await
            .map_err(|error| error.to_string())?;
        let config = &body["jetstream"]["config"];
        match (status, config.is_object()) {
            (200, true) => Ok(config["sync_always"].as_bool().unwrap_or(false)),
            _ => Err(format!(
                "{url} answers {status} and tells nothing of JetStream",
                url = self.spec.monitor.as_deref().unwrap_or_default()
            )),
        }
    }
}

/// `HOOK.all`, or `HOOK.N` for those that wait for others of their key.
fn subject(hook: &str, order_key: Option<&str>) -> String {
    match order_key {
        None => format!("{hook}.all"),
        // The same on every node, of whatever version.
        Some(key) => format!("{hook}.{}", Sha256::digest(key)[0] % PARTS),
    }
}

fn cannot_make(stream: &str, error: &jetstream::context::CreateStreamError) -> Unfit {
    use jetstream::context::CreateStreamErrorKind::JetStream;
    match error.kind() {
        JetStream(error) => Unfit::Wrong(format!("stream {stream} cannot be made: {error}")),
        _ => Unfit::Away(error.to_string()),
    }
}

/// What makes a stream that is there already unusable.
fn unfit(wanted: &Config, found: &Config) -> Option<String> {
    let name = &wanted.name;
    let told = |what: &str| {
        Some(format!(
            "stream {name} of the queue {what}: change it, or name another one in queue.stream"
        ))
    };
    if found.retention != wanted.retention {
        return told(
            "does not have the retention policy that it must have (`workqueue` for events, `limits` for the dead)",
        );
    }
    if found.no_ack || found.sealed {
        return told("acknowledges nothing, or is sealed");
    }
    if found.subjects != wanted.subjects {
        return told(&format!(
            "has other subjects than {}",
            wanted.subjects.join(", ")
        ));
    }
    if wanted.retention == RetentionPolicy::WorkQueue {
        if found.discard != DiscardPolicy::New {
            return told("throws away old events when it is full (discard must be `new`)");
        }
        if !found.max_age.is_zero() {
            return told("lets events go by age (max_age must be 0)");
        }
    }
    if found.storage != wanted.storage || found.num_replicas != wanted.num_replicas {
        let found = (found.storage, found.num_replicas);
        return told(&format!(
            "has storage and replicas {found:?}, and not those of the settings"
        ));
    }
    None
}

// === impl Handle ===

impl Handle {
    /// Returns when the server knows.
    pub async fn ack(&self) -> Result<(), LedgerError> {
        told(self.0.double_ack()).await
    }

    /// Again after the pause.
    pub async fn again(&self, pause: Duration) -> Result<(), LedgerError> {
        told(
            self.0
                .ack_with(AckKind::Nak((!pause.is_zero()).then_some(pause))),
        )
        .await
    }

    /// Another while.
    pub async fn extend(&self) -> Result<(), LedgerError> {
        told(self.0.ack_with(AckKind::Progress)).await
    }
}

async fn told(
    told: impl Future<Output = Result<(), async_nats::Error>>,
) -> Result<(), LedgerError> {
    match tokio::time::timeout(PUBLISH_WITHIN, told).await {
        Ok(told) => told.map_err(|error| LedgerError::QueueAway(error.to_string())),
        Err(_) => Err(LedgerError::QueueAway("no answer in time".into())),
    }
}
