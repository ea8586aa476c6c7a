//! The stream of events and the stream of dead letters: set up, and published to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::{Client, HeaderMap};
use landfall_model::Clock;
use sha2::{Digest, Sha256};

use super::settings::NatsSpec;
use crate::broker::{PUBLISH_TIMEOUT, Redelivery};
use crate::envelope::{Envelope, header_text};
use crate::error::BrokerError;
use crate::seal::Seal;

/// The partitions of a hook with an order key: keys of one partition wait for each other.
pub(super) const PARTITIONS: u8 = 8;
/// How long dead letters are kept.
const DEAD_LETTERS_FOR: Duration = Duration::from_secs(30 * 86_400);
/// Within this time the server stores a message with the same id once.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// The bytes of a message's headers, at most.
const HEADER_BYTES: usize = 1024;

/// Both streams, over one connection.
pub(super) struct Stream {
    pub client: Client,
    pub context: Context,
    pub spec: NatsSpec,
    pub seal: Arc<Seal>,
    clock: Clock,
    /// The streams exist and are set up as they must be.
    is_prepared: AtomicBool,
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(
        client: Client,
        context: Context,
        spec: NatsSpec,
        seal: Arc<Seal>,
        clock: Clock,
    ) -> Stream {
        Stream {
            client,
            context,
            spec,
            seal,
            clock,
            is_prepared: AtomicBool::new(false),
        }
    }

    pub(super) fn is_prepared(&self) -> bool {
        self.is_prepared.load(Ordering::Relaxed)
    }

    pub(super) fn is_available(&self) -> bool {
        let is_connected =
            self.client.connection_state() == async_nats::connection::State::Connected;
        is_connected && self.is_prepared()
    }

    /// The most bytes of a message, without its headers.
    pub(super) fn max_bytes(&self) -> usize {
        match self.client.max_payload() {
            // There has been no connection yet: publishing fails for that reason.
            0 => usize::MAX,
            most => most.saturating_sub(HEADER_BYTES),
        }
    }

    pub(super) async fn publish(&self, envelope: &Envelope) -> Result<(), BrokerError> {
        let bytes = envelope.encode_within(&self.seal, self.max_bytes())?;
        self.publish_bytes(envelope, bytes).await
    }

    async fn publish_bytes(&self, envelope: &Envelope, bytes: Vec<u8>) -> Result<(), BrokerError> {
        if !self.is_available() {
            return Err(BrokerError::Unavailable(
                "there is no connection to NATS, or its stream does not exist".into(),
            ));
        }

        let subject = subject(envelope.hook(), envelope.order_key.as_deref());
        let subject = format!("{}.{subject}", self.spec.stream);
        self.send(subject, &envelope.key(), HeaderMap::new(), bytes.into())
            .await
    }

    /// Publishes a later attempt as a new message that carries its number. False: the old message
    /// must be redelivered instead, since its attempt was not made, or since a new message would
    /// come after later ones of its order key.
    pub(super) async fn publish_later(
        &self,
        envelope: &Envelope,
        redelivery: Redelivery,
    ) -> Result<bool, BrokerError> {
        let is_same_attempt = redelivery.attempt == envelope.attempt;
        if !redelivery.carry_attempt || is_same_attempt || envelope.order_key.is_some() {
            return Ok(false);
        }

        let due = self.clock.now() + redelivery.after;
        let later = envelope.redelivered(redelivery.attempt, due);
        // The limit was checked when the event was accepted. The few bytes that a later attempt
        // adds fit in the room for headers.
        let bytes = later.encode(&self.seal)?;
        self.publish_bytes(&later, bytes).await?;
        Ok(true)
    }

    pub(super) async fn dead_letter(
        &self,
        envelope: &Envelope,
        reason: &str,
    ) -> Result<(), BrokerError> {
        let bytes = envelope.encode(&self.seal)?;
        // Several messages of one event make one dead letter.
        let id = format!("dead-{}", envelope.event().id);
        let subject = self.dead_letter_subject(envelope.hook());
        self.send(subject, &id, reason_header(reason), bytes.into())
            .await
    }

    /// Stores a message that cannot be decoded, as it is.
    pub(super) async fn dead_letter_bytes(
        &self,
        hook: &str,
        bytes: bytes::Bytes,
        reason: &str,
    ) -> Result<(), BrokerError> {
        let (subject, headers) = (self.dead_letter_subject(hook), reason_header(reason));
        let stored = async {
            self.context
                .publish_with_headers(subject, headers, bytes)
                .await?
                .await
        };
        in_time(stored).await.map(drop)
    }

    fn dead_letter_subject(&self, hook: &str) -> String {
        format!("{}-dead.{hook}", self.spec.stream)
    }

    async fn send(
        &self,
        subject: String,
        id: &str,
        mut headers: HeaderMap,
        bytes: bytes::Bytes,
    ) -> Result<(), BrokerError> {
        headers.insert("Nats-Msg-Id", id);
        let stored = async {
            let stored = self
                .context
                .publish_with_headers(subject, headers, bytes)
                .await?
                .await;
            // The stream was deleted, or lost with a server that stores nothing.
            if let Err(error) = &stored
                && error.kind() == PublishErrorKind::StreamNotFound
            {
                self.is_prepared.store(false, Ordering::Relaxed);
            }
            stored
        };
        in_time(stored).await.map(drop)
    }

    /// Creates both streams, or checks those that exist.
    pub(super) async fn prepare(&self) -> Result<(), BrokerError> {
        for wanted in self.configs() {
            let made = self.context.get_or_create_stream(wanted.clone()).await;
            let made = made.map_err(|error| describe_create_error(&wanted.name, &error))?;
            check_config(&wanted, &made.cached_info().config)?;
        }
        self.is_prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn configs(&self) -> [Config; 2] {
        let name = &self.spec.stream;
        let storage = if self.spec.in_memory {
            StorageType::Memory
        } else {
            StorageType::File
        };
        let common = Config {
            storage,
            num_replicas: self.spec.replicas,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        };
        let events = Config {
            name: name.clone(),
            subjects: vec![format!("{name}.*.*")],
            retention: RetentionPolicy::WorkQueue,
            // A full stream refuses new events; it never drops stored ones.
            discard: DiscardPolicy::New,
            ..common.clone()
        };
        let dead_letters = Config {
            name: format!("{name}-dead"),
            subjects: vec![format!("{name}-dead.*")],
            max_age: DEAD_LETTERS_FOR,
            ..common
        };

        [events, dead_letters]
    }
}

/// The result of a call to the server, if it comes in time.
pub(super) async fn in_time<T, E: std::fmt::Display>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(PUBLISH_TIMEOUT, call).await {
        Ok(result) => result.map_err(|error| BrokerError::Unavailable(error.to_string())),
        Err(_) => Err(BrokerError::Unavailable(format!(
            "no answer within {} s",
            PUBLISH_TIMEOUT.as_secs()
        ))),
    }
}

fn reason_header(reason: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Landfall-Reason", header_text(reason).as_str());
    headers
}

/// `HOOK.all`, or `HOOK.N` for an event with an order key. Every version computes the same
/// partition.
fn subject(hook: &str, order_key: Option<&str>) -> String {
    match order_key {
        None => format!("{hook}.all"),
        Some(key) => format!("{hook}.{}", Sha256::digest(key)[0] % PARTITIONS),
    }
}

fn describe_create_error(stream: &str, error: &CreateStreamError) -> BrokerError {
    match error.kind() {
        CreateStreamErrorKind::JetStream(error) => {
            BrokerError::Misconfigured(format!("stream {stream} cannot be made: {error}"))
        }
        _ => BrokerError::Unavailable(error.to_string()),
    }
}

/// Refuses an existing stream that would lose events.
fn check_config(wanted: &Config, found: &Config) -> Result<(), BrokerError> {
    match config_fault(wanted, found) {
        None => Ok(()),
        Some(fault) => Err(BrokerError::Misconfigured(format!(
            "stream {} of the queue {fault}: change it, or name another one in queue.stream",
            wanted.name
        ))),
    }
}

fn config_fault(wanted: &Config, found: &Config) -> Option<String> {
    if found.retention != wanted.retention {
        return Some(
            "does not have the retention policy that it must have (`workqueue` for events, \
             `limits` for dead letters)"
                .into(),
        );
    }
    if found.no_ack || found.sealed {
        return Some("acknowledges nothing, or is sealed".into());
    }
    if found.subjects != wanted.subjects {
        let subjects = wanted.subjects.join(", ");
        return Some(format!("has other subjects than {subjects}"));
    }
    if wanted.retention == RetentionPolicy::WorkQueue {
        if found.discard != DiscardPolicy::New {
            return Some("throws away old events when it is full (discard must be `new`)".into());
        }
        if !found.max_age.is_zero() {
            return Some("drops events by age (max_age must be 0)".into());
        }
    }
    if found.storage != wanted.storage || found.num_replicas != wanted.num_replicas {
        let found = (found.storage, found.num_replicas);
        return Some(format!(
            "has storage and replicas {found:?}, and not those of the settings"
        ));
    }
    None
}
