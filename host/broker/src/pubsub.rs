//! Google Cloud Pub/Sub: one topic for all hooks and one subscription, which we pull or which pushes to us, and a topic of the dead.
//! It knows no delay of its own: a try that is due later is sent anew with its time, and kept waiting by its deadline.
//!
//! Source: cloud.google.com/pubsub/docs/reference/rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::broker::{self, Taker, Unfit};
use super::lanes::{Lane, Lanes};
use super::parcel::{LATER_AGAIN, Parcel, Unopened, reason};
use super::rest::{Rest, WITHIN, told};
use super::seal::Seal;
use landfall_ledger::{LEASE, LedgerError};
use landfall_model::{Clock, PubSubSpec};

/// Of a parcel: a request holds 8 MiB, in base64.
pub const BYTES_MAX: usize = 6_000_000;
const PUBLISH_WITHIN: Duration = Duration::from_secs(2);
/// It answers an empty pull after some time of its own.
const PULL_WITHIN: Duration = Duration::from_secs(30);
const PULL_MAX: usize = 100;
/// Spoken of in one call.
const IDS_MAX: usize = 500;
/// What waits here is held on to so often.
const HOLD_EVERY: Duration = Duration::from_secs(10);
/// Topic and subscription are looked at again after this.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Of a subscription that pushes: an attempt is made within it, and what is brought too early waits by its retry policy.
const PUSH_DEADLINE: u64 = 600;
/// What is behind another of its key comes so much later.
const BEHIND: Duration = Duration::from_secs(2);
/// The longest that it lets a message wait.
const DEADLINE_MAX: Duration = Duration::from_secs(600);

/// The topic, its subscription, and the way to them.
pub struct PubSub {
    rest: Arc<Rest>,
    spec: PubSubSpec,
    /// Once it has been looked at.
    found: OnceLock<Found>,
    is_there: AtomicBool,
    /// Topic and subscription are what they must be, or were when they were last looked at: what is sent to a topic without one is lost.
    is_fit: AtomicBool,
    looked: Mutex<Option<Instant>>,
    lanes: Arc<Lanes<Held>>,
    seal: Arc<Seal>,
}

/// What its subscription is.
struct Found {
    /// It keeps the order of a key.
    keeps_order: bool,
    /// For how long it keeps what waits.
    retention: String,
    /// It is deleted after so long without anybody who asks.
    expires: Option<String>,
    /// It gives up what it has brought so often.
    gives_up: Option<u64>,
}

/// Of a message that was pulled.
pub struct Handle {
    held: Held,
    /// Of one with an order key, and who takes the next one of it.
    lane: Mutex<Option<Out>>,
}

type Out = (Lane<Held>, Arc<dyn Taker>);

/// How to speak of a message.
#[derive(Clone)]
pub struct Held {
    rest: Arc<Rest>,
    subscription: Arc<str>,
    ack_id: String,
}

// === impl PubSub ===

impl PubSub {
    /// Looks at topic, subscription and the topic of the dead; where nobody answers, later. An error says what to do about it.
    pub async fn start(spec: PubSubSpec, rest: Rest, seal: Arc<Seal>) -> Result<PubSub, String> {
        let pubsub = PubSub {
            rest: Arc::new(rest),
            spec,
            found: OnceLock::new(),
            is_there: AtomicBool::new(false),
            is_fit: AtomicBool::new(false),
            looked: Mutex::new(None),
            lanes: Lanes::new(),
            seal,
        };
        match pubsub.check().await {
            Ok(()) => {}
            Err(Unfit::Wrong(why)) => return Err(why),
            Err(Unfit::Away(why)) => {
                tracing::error!(
                    why,
                    "the queue cannot be reached: events are refused until it is"
                )
            }
        }
        Ok(pubsub)
    }

    async fn check(&self) -> Result<(), Unfit> {
        let PubSubSpec {
            project,
            topic,
            subscription,
            dead_letter,
            ..
        } = self.spec.clone();
        let create = format!("gcloud pubsub topics create {topic} --project={project}");
        self.find(&format!("topics/{topic}"), &create).await?;
        let create = format!(
            "gcloud pubsub subscriptions create {subscription} --topic={topic} --project={project} --expiration-period=never"
        );
        let found = self
            .find(&format!("subscriptions/{subscription}"), &create)
            .await?;
        self.check_subscription(&found).map_err(Unfit::Wrong)?;
        let create = format!("gcloud pubsub topics create {dead_letter} --project={project}");
        self.find(&format!("topics/{dead_letter}"), &create).await?;
        self.check_dead(&format!("projects/{project}/topics/{dead_letter}"))
            .await?;
        if let Some(other) = found["deadLetterPolicy"]["deadLetterTopic"].as_str() {
            self.check_dead(other).await?;
        }
        self.found.get_or_init(|| Found {
            keeps_order: found["enableMessageOrdering"].as_bool().unwrap_or(false),
            retention: found["messageRetentionDuration"]
                .as_str()
                .unwrap_or("604800s")
                .to_owned(),
            expires: found["expirationPolicy"]["ttl"].as_str().map(str::to_owned),
            gives_up: found["deadLetterPolicy"]["maxDeliveryAttempts"].as_u64(),
        });
        self.is_there.store(true, Ordering::Relaxed);
        self.is_fit.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn find(&self, path: &str, create: &str) -> Result<Value, Unfit> {
        let path = format!("v1/projects/{}/{path}", self.spec.project);
        let found = self.rest.find(&path, "Pub/Sub").await?;
        found.ok_or_else(|| Unfit::Wrong(format!("Pub/Sub has no {path}: {create}")))
    }

    fn check_subscription(&self, found: &Value) -> Result<(), String> {
        let PubSubSpec {
            project,
            topic,
            subscription,
            push,
            ..
        } = &self.spec;
        let wrong = |why: String| Err(format!("subscription {subscription} of the queue {why}"));
        let of = found["topic"].as_str().unwrap_or_default();
        if of != format!("projects/{project}/topics/{topic}") {
            return wrong(format!(
                "is of topic {of}: name the one of {topic} in queue.subscription"
            ));
        }
        let to = found["pushConfig"]["pushEndpoint"]
            .as_str()
            .unwrap_or_default();
        let change =
            format!("gcloud pubsub subscriptions update {subscription} --project={project}");
        match push {
            None if !to.is_empty() => wrong(format!(
                "pushes to {to}: set queue.push_to, or {change} --push-endpoint="
            )),
            Some(push) if to != push.url() => {
                let (url, account) = (push.url(), &push.account);
                wrong(format!(
                    "does not push to {url}: {change} --push-endpoint={url} --push-auth-service-account={account} --push-auth-token-audience={}",
                    push.to
                ))
            }
            Some(_) if found["ackDeadlineSeconds"].as_u64() != Some(PUSH_DEADLINE) => {
                wrong(format!(
                    "pushes again what has not ended within less than ten minutes: {change} --ack-deadline={PUSH_DEADLINE}"
                ))
            }
            Some(_) if found["retryPolicy"].is_null() => wrong(format!(
                "pushes again at once what is not due yet: {change} --min-retry-delay=10s --max-retry-delay=600s"
            )),
            _ => Ok(()),
        }
    }

    /// Whatever nobody subscribes to is lost.
    async fn check_dead(&self, topic: &str) -> Result<(), Unfit> {
        let name = topic.rsplit('/').next().unwrap_or(topic);
        let found = self
            .find(&format!("topics/{name}/subscriptions"), "")
            .await?;
        match found["subscriptions"].as_array() {
            Some(some) if !some.is_empty() => Ok(()),
            _ => Err(Unfit::Wrong(format!(
                "topic {name} of the dead has no subscription, so that what is sent there is lost: gcloud pubsub subscriptions create {name} --topic={name} --project={} --expiration-period=never",
                self.spec.project
            ))),
        }
    }

    /// Makes and verifies the MACs of envelopes.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    fn keeps_order(&self) -> bool {
        self.found.get().is_some_and(|found| found.keeps_order)
    }

    /// Looks again, now and then, and as long as something is missing.
    pub async fn look(&self) {
        {
            let mut looked = self
                .looked
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            if self.is_there() && looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
                return;
            }
            *looked = Some(Instant::now());
        }
        match self.check().await {
            Ok(()) => {}
            Err(Unfit::Away(why)) => tracing::warn!(why, "the queue cannot be asked"),
            Err(Unfit::Wrong(why)) => {
                self.is_fit.store(false, Ordering::Relaxed);
                tracing::error!(why, "events are refused, since the queue would lose them");
            }
        }
    }

    /// Why it is not there now, if it is not: it is asked.
    pub async fn problem(&self) -> Option<String> {
        self.check().await.err().map(Unfit::why)
    }

    /// Whether it was there when it was last asked.
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed) && self.is_fit.load(Ordering::Relaxed)
    }

    pub async fn publish(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<(), LedgerError> {
        if !self.is_fit.load(Ordering::Relaxed) {
            let why = "its topic or subscription is missing, or has not been looked at yet";
            return Err(LedgerError::QueueAway(why.into()));
        }
        if parcel.new.order_key.is_some() && !self.keeps_order() {
            return Err(LedgerError::Unfit(format!(
                "hook {} has order_by, and subscription {} keeps no order: make one with --enable-message-ordering",
                parcel.hook(),
                self.spec.subscription
            )));
        }
        self.send(&self.spec.topic, parcel, bytes, None).await
    }

    pub async fn bury(&self, parcel: &Parcel, why: &str) -> Result<(), LedgerError> {
        self.send(
            &self.spec.dead_letter,
            parcel,
            parcel.bytes(&self.seal)?,
            Some(why),
        )
        .await
    }

    async fn send(
        &self,
        topic: &str,
        parcel: &Parcel,
        bytes: Vec<u8>,
        why: Option<&str>,
    ) -> Result<(), LedgerError> {
        let mut attributes =
            json!({ "hook": parcel.hook(), "event": parcel.new.stored.event().id.to_string() });
        if let Some(why) = why {
            attributes["reason"] = reason(why).into();
        }
        let mut message = json!({ "data": STANDARD.encode(bytes), "attributes": attributes });
        if let Some(key) = &parcel.new.order_key {
            message["orderingKey"] = ordering_key(parcel.hook(), key).into();
        }
        self.publish_to(topic, message).await
    }

    async fn publish_to(&self, topic: &str, message: Value) -> Result<(), LedgerError> {
        let path = format!("v1/projects/{}/topics/{topic}:publish", self.spec.project);
        let answer = self
            .rest
            .post(&path, &json!({ "messages": [message] }), PUBLISH_WITHIN)
            .await;
        let kept = match answer {
            // Only its id says that it is kept.
            Ok((200, body)) if body["messageIds"][0].is_string() => Ok(()),
            Ok((status, body)) => Err(LedgerError::QueueAway(told(status, &body))),
            Err(error) => Err(LedgerError::QueueAway(error.to_string())),
        };
        self.is_there.store(kept.is_ok(), Ordering::Relaxed);
        kept
    }

    /// A pulled one again: a new try is a new message, but where that would spoil an order. What is only put off waits by its deadline.
    pub async fn again(
        &self,
        parcel: &Parcel,
        handle: &Handle,
        pause: Duration,
        number: u32,
    ) -> Result<(), LedgerError> {
        if self.send_later(parcel, pause, number).await? {
            return handle.ack().await;
        }
        match handle.leave() {
            None => handle.held.wait(pause).await,
            Some((lane, _)) if number == parcel.number => {
                // Not run here now; elsewhere, perhaps. What is behind it comes after it.
                let behind = lane.abandon();
                handle.held.wait(pause).await?;
                wait_for(behind.iter().collect(), pause + BEHIND).await
            }
            Some((lane, taker)) => {
                let (parcel, held) = (
                    Parcel {
                        number,
                        ..parcel.clone()
                    },
                    handle.held.clone(),
                );
                tokio::spawn(async move {
                    held.hold(pause).await;
                    take((parcel, held, lane), taker);
                });
                Ok(())
            }
        }
    }

    /// Sends a later try as a new message. False: it is not to be sent, the old one has to come again.
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
        self.send(&self.spec.topic, &later, later.bytes(&self.seal)?, None)
            .await
            .map(|()| true)
    }

    /// What was brought and nobody can read.
    pub async fn bury_unopened(&self, bytes: &[u8], why: &str) -> Result<(), LedgerError> {
        // What it called with is in a wrapping of its own.
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
        message["attributes"]["reason"] = reason(why).into();
        self.publish_to(&self.spec.dead_letter, message).await
    }

    /// Pulls as long as there is room, until nothing more is wanted.
    pub async fn bring(&self, taker: Arc<dyn Taker>) {
        if self.spec.push.is_some() {
            return;
        }
        let holding = tokio::spawn(hold_waiting(self.lanes.clone(), taker.clone()));
        while !taker.is_stopping() {
            let room: usize = taker
                .hooks()
                .iter()
                .filter_map(|hook| taker.room(hook))
                .map(|(room, _)| room)
                .sum();
            let room = room.min(self.lanes.room());
            if room == 0 || !self.is_fit.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            if let Err(why) = self.pull(room.min(PULL_MAX), &taker).await {
                self.is_there.store(false, Ordering::Relaxed);
                tracing::warn!(why, "events cannot be pulled from Pub/Sub");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        holding.abort();
    }

    async fn pull(&self, room: usize, taker: &Arc<dyn Taker>) -> Result<(), String> {
        let subscription = format!(
            "v1/projects/{}/subscriptions/{}",
            self.spec.project, self.spec.subscription
        );
        let subscription: Arc<str> = subscription.into();
        let asked = json!({ "maxMessages": room });
        let answer = self
            .rest
            .post(&format!("{subscription}:pull"), &asked, PULL_WITHIN)
            .await;
        let body = match answer.map_err(|error| error.to_string())? {
            (200, body) => body,
            (status, body) => {
                if status == 404 {
                    self.is_fit.store(false, Ordering::Relaxed);
                }
                return Err(told(status, &body));
            }
        };
        self.is_there.store(true, Ordering::Relaxed);
        let received = body["receivedMessages"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let held = |received: &Value| {
            let ack_id = received["ackId"].as_str().unwrap_or_default().to_owned();
            Held {
                rest: self.rest.clone(),
                subscription: subscription.clone(),
                ack_id,
            }
        };
        let all: Vec<Held> = received.iter().map(held).collect();
        hold(all.iter().collect()).await.ok();
        for (received, held) in received.iter().zip(all) {
            let data = STANDARD
                .decode(received["message"]["data"].as_str().unwrap_or_default())
                .unwrap_or_default();
            self.open(&data, received, held, taker).await;
        }
        Ok(())
    }

    async fn open(&self, bytes: &[u8], received: &Value, held: Held, taker: &Arc<dyn Taker>) {
        let hook = received["message"]["attributes"]["hook"]
            .as_str()
            .unwrap_or_default();
        let parcel = match Parcel::open(bytes, &self.seal, Some(hook)) {
            Ok(parcel) => parcel,
            Err(Unopened::Later(why)) => {
                tracing::error!(why, "a message of the queue cannot be verified yet");
                held.wait(LATER_AGAIN).await.ok();
                return;
            }
            Err(unopened) => {
                taker.refuse(
                    &unopened,
                    received["message"]["messageId"]
                        .as_str()
                        .unwrap_or_default(),
                );
                match self.bury_unopened(bytes, unopened.parts().1).await {
                    Ok(()) => drop(
                        held.tell("acknowledge", json!({ "ackIds": [held.ack_id] }))
                            .await,
                    ),
                    Err(error) => {
                        tracing::error!(%error, "a message cannot be dead-lettered yet: the broker will redeliver it");
                        held.wait(LATER_AGAIN).await.ok();
                    }
                }
                return;
            }
        };
        let entered = match &parcel.new.order_key {
            None => {
                return taker.take(
                    parcel,
                    broker::Handle::PubSub(Handle {
                        held,
                        lane: Mutex::new(None),
                    }),
                );
            }
            Some(key) => self
                .lanes
                .enter(ordering_key(parcel.hook(), key), parcel, held),
        };
        if let Some(entered) = entered {
            take(entered, taker.clone());
        }
    }

    /// What is in force, in words.
    pub fn facts(&self) -> Vec<String> {
        let PubSubSpec {
            project,
            topic,
            subscription,
            dead_letter,
            push,
            ..
        } = &self.spec;
        let way = if push.is_some() {
            "it calls us"
        } else {
            "we ask for events"
        };
        let mut facts = vec![format!(
            "Pub/Sub: topic {topic} of {project}, subscription {subscription}, {way}; the dead go to {dead_letter}"
        )];
        let Some(Found {
            keeps_order,
            retention,
            expires,
            gives_up,
        }) = self.found.get()
        else {
            return facts;
        };
        facts.push(format!("what waits for longer than {retention} is lost"));
        facts.push(match keeps_order {
            true => "the subscription keeps the order of a key".into(),
            false => "the subscription keeps no order: hooks with order_by take nothing".into(),
        });
        let change =
            format!("gcloud pubsub subscriptions update {subscription} --project={project}");
        if let Some(time) = expires {
            facts.push(format!("the subscription, and all that waits, is deleted after {time} without traffic: {change} --expiration-period=never"));
        }
        if let Some(times) = gives_up {
            facts.push(format!("what has been brought {times} times goes to its own topic of the dead, also where it was only put off: {change} --clear-dead-letter-policy"));
        }
        facts
    }
}

/// Apart for each hook, and of no more bytes than are allowed.
fn ordering_key(hook: &str, key: &str) -> String {
    let key = format!("{hook} {key}");
    const BYTES_MAX: usize = 1024;
    if key.len() <= BYTES_MAX {
        key
    } else {
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest(key))
    }
}

fn take((parcel, held, lane): (Parcel, Held, Lane<Held>), taker: Arc<dyn Taker>) {
    if !taker.is_stopping() {
        let lane = Mutex::new(Some((lane, taker.clone())));
        taker.take(parcel, broker::Handle::PubSub(Handle { held, lane }));
    }
}

/// These are ours for another while.
pub async fn hold(all: Vec<&Held>) -> Result<(), LedgerError> {
    wait_for(all, LEASE).await
}

async fn wait_for(all: Vec<&Held>, time: Duration) -> Result<(), LedgerError> {
    for some in all.chunks(IDS_MAX) {
        let ack_ids: Vec<&str> = some.iter().map(|held| &*held.ack_id).collect();
        let body =
            json!({ "ackIds": ack_ids, "ackDeadlineSeconds": time.min(DEADLINE_MAX).as_secs() });
        some[0].tell("modifyAckDeadline", body).await?;
    }
    Ok(())
}

async fn hold_waiting(lanes: Arc<Lanes<Held>>, taker: Arc<dyn Taker>) {
    while !taker.is_stopping() {
        tokio::time::sleep(HOLD_EVERY).await;
        let waiting = lanes.each(Held::clone);
        hold(waiting.iter().collect()).await.ok();
    }
}

// === impl Handle ===

impl Handle {
    /// Returns when the service knows; the next one of its key is taken then.
    pub async fn ack(&self) -> Result<(), LedgerError> {
        self.held
            .tell("acknowledge", json!({ "ackIds": [self.held.ack_id] }))
            .await?;
        if let Some((lane, taker)) = self.leave()
            && let Some(next) = lane.pass_on()
        {
            take(next, taker);
        }
        Ok(())
    }

    fn leave(&self) -> Option<Out> {
        self.lane
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take()
    }

    /// By which it is spoken of.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// It comes again at once.
    pub async fn give_back(&self) -> Result<(), LedgerError> {
        self.held.wait(Duration::ZERO).await
    }
}

// === impl Held ===

impl Held {
    /// It comes again after this, or after ten minutes, and is put off again then.
    async fn wait(&self, pause: Duration) -> Result<(), LedgerError> {
        let seconds = pause.min(DEADLINE_MAX).as_secs_f64().ceil() as u64;
        self.tell(
            "modifyAckDeadline",
            json!({ "ackIds": [self.ack_id], "ackDeadlineSeconds": seconds }),
        )
        .await
    }

    /// Held on to for as long as it waits here.
    async fn hold(&self, pause: Duration) {
        let until = tokio::time::Instant::now() + pause;
        while tokio::time::Instant::now() + HOLD_EVERY < until {
            self.wait(LEASE).await.ok();
            tokio::time::sleep(HOLD_EVERY).await;
        }
        self.wait(LEASE).await.ok();
        tokio::time::sleep_until(until).await;
    }

    async fn tell(&self, what: &str, body: Value) -> Result<(), LedgerError> {
        match self
            .rest
            .post(&format!("{}:{what}", self.subscription), &body, WITHIN)
            .await
        {
            Ok((200, _)) => Ok(()),
            Ok((status, body)) => Err(LedgerError::QueueAway(told(status, &body))),
            Err(error) => Err(LedgerError::QueueAway(error.to_string())),
        }
    }
}
