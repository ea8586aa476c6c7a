//! The topic that events are published to, its subscription, and the topic of the dead letters:
//! what pull and push share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_model::{Clock, lock};
use serde_json::{Value, json};

use super::check::{self, Subscription};
use super::settings::PubSubSpec;
use crate::broker::{PUBLISH_TIMEOUT, Redelivery};
use crate::envelope::{Envelope, header_text};
use crate::error::BrokerError;
use crate::rest::{Rest, call};
use crate::seal::Seal;

/// The most bytes of an envelope: a request holds 8 MiB, in base64.
const BYTES_MAX: usize = 6_000_000;
/// Topic and subscription are checked again after this.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// The longest ordering key, in bytes.
const ORDERING_KEY_MAX: usize = 1024;

/// The topics and the subscription, and the way to them.
pub(super) struct Topic {
    pub rest: Arc<Rest>,
    pub spec: PubSubSpec,
    pub seal: Arc<Seal>,
    /// The subscription, once it has been checked.
    subscription: OnceLock<Subscription>,
    is_reachable: AtomicBool,
    /// Topic and subscription were as they must be when they were last checked. What is published
    /// to a topic without a subscription is lost.
    is_valid: AtomicBool,
    checked: Mutex<Option<Instant>>,
    clock: Clock,
}

// === impl Topic ===

impl Topic {
    /// Checks the topics and the subscription, unless the service does not answer.
    pub(super) async fn start(
        spec: PubSubSpec,
        rest: Rest,
        seal: Arc<Seal>,
        clock: Clock,
    ) -> Result<Topic, BrokerError> {
        let topic = Topic {
            rest: Arc::new(rest),
            spec,
            seal,
            subscription: OnceLock::new(),
            is_reachable: AtomicBool::new(false),
            is_valid: AtomicBool::new(false),
            checked: Mutex::new(None),
            clock,
        };
        match topic.check().await {
            Ok(()) => {}
            Err(error @ BrokerError::Misconfigured(_)) => return Err(error),
            Err(error) => {
                tracing::error!(%error, "the queue cannot be reached: events are refused until it is")
            }
        }

        Ok(topic)
    }

    pub(super) async fn check(&self) -> Result<(), BrokerError> {
        let subscription = check::check(&self.rest, &self.spec).await?;
        self.subscription.get_or_init(|| subscription);
        self.is_reachable.store(true, Ordering::Relaxed);
        self.is_valid.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Checks again after a while, and as long as something is missing.
    pub(super) async fn recheck(&self) {
        {
            let mut checked = lock(&self.checked);
            let is_recent = checked.is_some_and(|checked| checked.elapsed() < CHECK_EVERY);
            if self.is_available() && is_recent {
                return;
            }
            *checked = Some(Instant::now());
        }

        match self.check().await {
            Ok(()) => {}
            Err(error @ BrokerError::Misconfigured(_)) => {
                self.is_valid.store(false, Ordering::Relaxed);
                tracing::error!(%error, "events are refused, since the queue would lose them");
            }
            Err(error) => tracing::warn!(%error, "the queue cannot be checked"),
        }
    }

    pub(super) fn is_available(&self) -> bool {
        self.is_reachable.load(Ordering::Relaxed) && self.is_valid()
    }

    pub(super) fn is_valid(&self) -> bool {
        self.is_valid.load(Ordering::Relaxed)
    }

    /// The subscription has been deleted.
    pub(super) fn mark_invalid(&self) {
        self.is_valid.store(false, Ordering::Relaxed);
    }

    pub(super) fn mark_reachable(&self, is_reachable: bool) {
        self.is_reachable.store(is_reachable, Ordering::Relaxed);
    }

    pub(super) async fn publish(&self, envelope: &Envelope) -> Result<(), BrokerError> {
        let bytes = envelope.encode_within(&self.seal, BYTES_MAX)?;
        if !self.is_valid() {
            return Err(BrokerError::Unavailable(
                "its topic or subscription is missing, or has not been checked yet".into(),
            ));
        }
        let keeps_order = self.subscription.get().is_some_and(|one| one.keeps_order);
        if envelope.order_key.is_some() && !keeps_order {
            return Err(BrokerError::Rejected(format!(
                "hook {} has order_by, and subscription {} keeps no order: make one with \
                 --enable-message-ordering",
                envelope.hook(),
                self.spec.subscription
            )));
        }

        self.publish_to(&self.spec.topic, message(envelope, &bytes))
            .await
    }

    /// Publishes a later attempt as a new message. False: the old message must be redelivered
    /// instead, since the attempt was not made, or since a new message would come after later ones
    /// of its order key.
    pub(super) async fn publish_later(
        &self,
        envelope: &Envelope,
        redelivery: Redelivery,
    ) -> Result<bool, BrokerError> {
        if redelivery.attempt == envelope.attempt || envelope.order_key.is_some() {
            return Ok(false);
        }

        let due = self.clock.now() + redelivery.after;
        let later = envelope.redelivered(redelivery.attempt, due);
        let bytes = later.encode(&self.seal)?;
        self.publish_to(&self.spec.topic, message(&later, &bytes))
            .await?;

        Ok(true)
    }

    pub(super) async fn dead_letter(
        &self,
        envelope: &Envelope,
        reason: &str,
    ) -> Result<(), BrokerError> {
        let bytes = envelope.encode(&self.seal)?;
        let mut message = message(envelope, &bytes);
        message["attributes"]["reason"] = header_text(reason).into();

        self.publish_to(&self.spec.dead_letter, message).await
    }

    /// Stores a message that cannot be decoded. A pushed one is in a JSON wrapping, which keeps its
    /// attributes.
    pub(super) async fn dead_letter_undecodable(
        &self,
        bytes: &[u8],
        reason: &str,
    ) -> Result<(), BrokerError> {
        let wrapped: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let mut message = match &wrapped["message"] {
            Value::Object(message) => {
                json!({ "data": message.get("data"), "attributes": message.get("attributes") })
            }
            _ => json!({ "data": STANDARD.encode(bytes) }),
        };
        if !message["attributes"].is_object() {
            message["attributes"] = json!({});
        }
        message["attributes"]["reason"] = header_text(reason).into();

        self.publish_to(&self.spec.dead_letter, message).await
    }

    async fn publish_to(&self, topic: &str, message: Value) -> Result<(), BrokerError> {
        let path = format!("v1/projects/{}/topics/{topic}:publish", self.spec.project);
        let body = json!({ "messages": [message] });
        let published = match call(&self.rest, &path, &body, PUBLISH_TIMEOUT).await {
            // Only the id of the message says that it is stored.
            Ok(body) if body["messageIds"][0].is_string() => Ok(()),
            Ok(_) => Err(BrokerError::Unavailable(
                "the answer names no message id".into(),
            )),
            Err(error) => Err(error),
        };
        self.mark_reachable(published.is_ok());
        published
    }

    pub(super) fn describe(&self) -> Vec<String> {
        let way = if self.spec.push.is_some() {
            "it calls us"
        } else {
            "we ask for events"
        };
        let PubSubSpec {
            project,
            topic,
            subscription,
            dead_letter,
            ..
        } = &self.spec;
        let mut facts = vec![format!(
            "Pub/Sub: topic {topic} of {project}, subscription {subscription}, {way}; dead \
             letters go to {dead_letter}"
        )];
        if let Some(found) = self.subscription.get() {
            facts.extend(found.describe(&self.spec));
        }
        facts.push(self.seal.describe());
        facts
    }
}

fn message(envelope: &Envelope, bytes: &[u8]) -> Value {
    let event = envelope.event().id.to_string();
    let attributes = json!({ "hook": envelope.hook(), "event": event });
    let mut message = json!({ "data": STANDARD.encode(bytes), "attributes": attributes });
    if let Some(key) = &envelope.order_key {
        message["orderingKey"] = ordering_key(envelope.hook(), key).into();
    }
    message
}

/// The ordering key of an order key: different for each hook, and no longer than is allowed.
pub(super) fn ordering_key(hook: &str, key: &str) -> String {
    let key = format!("{hook} {key}");
    if key.len() <= ORDERING_KEY_MAX {
        key
    } else {
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest(key))
    }
}
