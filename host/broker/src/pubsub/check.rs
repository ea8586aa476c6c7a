//! Whether the topics and the subscription are set up so that no event is lost.

use landfall_model::PushSpec;
use serde_json::Value;

use super::settings::PubSubSpec;
use crate::error::BrokerError;
use crate::rest::Rest;

/// The acknowledgement deadline of a subscription that pushes, in seconds: an attempt ends within
/// it, and a message that is delivered too early waits by its retry policy.
const PUSH_DEADLINE_SECONDS: u64 = 600;

/// What a subscription promises.
pub(super) struct Subscription {
    /// Messages with the same ordering key are delivered in order.
    pub keeps_order: bool,
    /// How long a message is kept that is not acknowledged.
    retention: String,
    /// The subscription is deleted after this time without a subscriber.
    expires: Option<String>,
    /// A message is given up after this many deliveries.
    gives_up: Option<u64>,
}

/// Checks both topics and the subscription.
pub(super) async fn check(rest: &Rest, spec: &PubSubSpec) -> Result<Subscription, BrokerError> {
    let PubSubSpec {
        project,
        topic,
        subscription,
        dead_letter,
        ..
    } = spec;

    let create = format!("gcloud pubsub topics create {topic} --project={project}");
    find(rest, project, &format!("topics/{topic}"), &create).await?;

    let create = format!(
        "gcloud pubsub subscriptions create {subscription} --topic={topic} --project={project} --expiration-period=never"
    );
    let path = format!("subscriptions/{subscription}");
    let found = find(rest, project, &path, &create).await?;
    check_subscription(&found, spec)?;

    let create = format!("gcloud pubsub topics create {dead_letter} --project={project}");
    find(rest, project, &format!("topics/{dead_letter}"), &create).await?;
    let dead = format!("projects/{project}/topics/{dead_letter}");
    check_dead_letters(rest, project, &dead).await?;
    if let Some(other) = found["deadLetterPolicy"]["deadLetterTopic"].as_str() {
        check_dead_letters(rest, project, other).await?;
    }

    Ok(Subscription::read(&found))
}

async fn find(rest: &Rest, project: &str, path: &str, create: &str) -> Result<Value, BrokerError> {
    let path = format!("v1/projects/{project}/{path}");
    rest.find(&path, "Pub/Sub")
        .await?
        .ok_or_else(|| BrokerError::Misconfigured(format!("Pub/Sub has no {path}: {create}")))
}

fn check_subscription(found: &Value, spec: &PubSubSpec) -> Result<(), BrokerError> {
    let PubSubSpec {
        project,
        topic,
        subscription,
        push,
        ..
    } = spec;
    let wrong = |why: String| {
        Err(BrokerError::Misconfigured(format!(
            "subscription {subscription} of the queue {why}"
        )))
    };

    let of = found["topic"].as_str().unwrap_or_default();
    if of != format!("projects/{project}/topics/{topic}") {
        return wrong(format!(
            "is of topic {of}: name the one of {topic} in queue.subscription"
        ));
    }

    let change = format!("gcloud pubsub subscriptions update {subscription} --project={project}");
    let to = found["pushConfig"]["pushEndpoint"]
        .as_str()
        .unwrap_or_default();
    let Some(push) = push else {
        return match to {
            "" => Ok(()),
            _ => wrong(format!(
                "pushes to {to}: set queue.push_to, or {change} --push-endpoint="
            )),
        };
    };
    if to != push.url() {
        let PushSpec { to, account, .. } = push;
        let url = push.url();
        return wrong(format!(
            "does not push to {url}: {change} --push-endpoint={url} --push-auth-service-account={account} --push-auth-token-audience={to}"
        ));
    }
    if found["ackDeadlineSeconds"].as_u64() != Some(PUSH_DEADLINE_SECONDS) {
        return wrong(format!(
            "pushes an event again that has run for less than ten minutes: {change} \
             --ack-deadline={PUSH_DEADLINE_SECONDS}"
        ));
    }
    if found["retryPolicy"].is_null() {
        return wrong(format!(
            "pushes an event again at once that is not due yet: {change} --min-retry-delay=10s \
             --max-retry-delay=600s"
        ));
    }

    Ok(())
}

/// What is published to a topic without a subscription is lost.
async fn check_dead_letters(rest: &Rest, project: &str, topic: &str) -> Result<(), BrokerError> {
    let name = topic.rsplit('/').next().unwrap_or(topic);
    let path = format!("topics/{name}/subscriptions");
    let found = find(rest, project, &path, "").await?;
    match found["subscriptions"].as_array() {
        Some(some) if !some.is_empty() => Ok(()),
        _ => Err(BrokerError::Misconfigured(format!(
            "topic {name} of the dead letters has no subscription, so that what is sent there is \
             lost: gcloud pubsub subscriptions create {name} --topic={name} --project={project} \
             --expiration-period=never"
        ))),
    }
}

// === impl Subscription ===

impl Subscription {
    fn read(found: &Value) -> Subscription {
        let retention = found["messageRetentionDuration"].as_str();
        Subscription {
            keeps_order: found["enableMessageOrdering"].as_bool().unwrap_or(false),
            retention: retention.unwrap_or("604800s").to_owned(),
            expires: found["expirationPolicy"]["ttl"].as_str().map(str::to_owned),
            gives_up: found["deadLetterPolicy"]["maxDeliveryAttempts"].as_u64(),
        }
    }

    pub(super) fn describe(&self, spec: &PubSubSpec) -> Vec<String> {
        let (subscription, project) = (&spec.subscription, &spec.project);
        let change =
            format!("gcloud pubsub subscriptions update {subscription} --project={project}");

        let retention = &self.retention;
        let mut facts = vec![format!(
            "an event that waits for longer than {retention} is lost"
        )];
        facts.push(if self.keeps_order {
            "the subscription keeps the order of a key".into()
        } else {
            "the subscription keeps no order: hooks with order_by accept nothing".into()
        });
        if let Some(time) = &self.expires {
            facts.push(format!(
                "the subscription, and every event that waits, is deleted after {time} without \
                 traffic: {change} --expiration-period=never"
            ));
        }
        if let Some(times) = self.gives_up {
            facts.push(format!(
                "a message that has been delivered {times} times goes to the subscription's own \
                 dead-letter topic, also if it was only deferred: {change} \
                 --clear-dead-letter-policy"
            ));
        }
        facts
    }
}
