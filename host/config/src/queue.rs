//! `[queue]`: which broker carries events, as it is typed.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::credential::Text;
use super::values::{Parsed, SecretRefs, UtcTime};
use landfall_model::{
    BrokerSpec, CloudTasksSpec, CredentialPart, CredentialText, NatsSpec, PubSubSpec, PushSpec,
    SecretRef,
};

/// The keys of all brokers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueTable {
    pub url: Option<Parsed<QueueUrl>>,
    pub stream: Option<String>,
    pub replicas: Option<usize>,
    pub storage: Option<Storage>,
    pub monitor: Option<String>,
    pub subscription: Option<String>,
    pub dead_letter: Option<String>,
    pub push_to: Option<String>,
    pub push_account: Option<String>,
    pub push_keys: Option<String>,
    pub key: Option<SecretRefs>,
    pub accept_unsealed_until: Option<Parsed<UtcTime>>,
}

/// Where a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    File,
    Memory,
}

/// What the broker is, and where.
#[derive(Debug, Clone)]
pub enum QueueUrl {
    Nats(CredentialText),
    PubSub {
        project: String,
        topic: String,
    },
    CloudTasks {
        project: String,
        location: String,
        queue: String,
    },
}

/// Emulators, by the variables that Google's own libraries know.
#[derive(Debug, Default)]
pub struct Emulators {
    pub pubsub: Option<String>,
    pub cloud_tasks: Option<String>,
}

const FORMS: &str = "nats://HOST:4222 (with ${env:PASSWORD} where it has one, or a secret reference that holds it all), \
                     pubsub://PROJECT/TOPIC or cloudtasks://PROJECT/LOCATION/QUEUE";
/// The longest time for which messages without a MAC are accepted beside a key.
const UNSEALED_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Where the keys of Google's tokens are.
const GOOGLE_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";

impl std::str::FromStr for QueueUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<QueueUrl, String> {
        let wrong = || format!("url is {FORMS}");
        let Some((scheme, rest)) = text.split_once("://") else {
            let reference = text.parse::<SecretRef>().map_err(|_| wrong())?;
            return Ok(QueueUrl::Nats(vec![CredentialPart::Secret(reference)]));
        };
        let names: Vec<&str> = rest.split('/').collect();
        let is_name = |name: &&str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._~%+:".contains(c))
        };
        match (scheme, &names[..]) {
            ("nats" | "tls", _) if rest.contains("${") => {
                text.parse::<Text>().map(|text| QueueUrl::Nats(text.0))
            }
            ("nats" | "tls", _) if !rest.is_empty() => {
                Ok(QueueUrl::Nats(vec![CredentialPart::Literal(text.into())]))
            }
            ("pubsub", [project, topic]) if names.iter().all(is_name) => Ok(QueueUrl::PubSub {
                project: (*project).into(),
                topic: (*topic).into(),
            }),
            ("cloudtasks", [project, location, queue]) if names.iter().all(is_name) => {
                Ok(QueueUrl::CloudTasks {
                    project: (*project).into(),
                    location: (*location).into(),
                    queue: (*queue).into(),
                })
            }
            _ => Err(wrong()),
        }
    }
}

// === impl QueueTable ===

impl QueueTable {
    /// Checked; none where there is no broker.
    pub fn broker(self, emulators: Emulators) -> Result<Option<BrokerSpec>, String> {
        self.check_keys()?;
        let push = self.push(&emulators)?;
        let spec = match self.url.map(|url| url.0) {
            None => return Ok(None),
            Some(QueueUrl::Nats(servers)) => {
                let (stream, replicas) = (self.stream.unwrap_or_else(|| "landfall".into()), self.replicas.unwrap_or(1));
                if stream.is_empty() || !stream.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                    return Err("queue.stream is made of letters, digits, `-` and `_`".into());
                }
                if ![1, 3, 5].contains(&replicas) {
                    return Err(format!("queue.replicas = {replicas}: 1, or 3 or 5 in a cluster"));
                }
                let in_memory = self.storage == Some(Storage::Memory);
                BrokerSpec::Nats(NatsSpec { servers, stream, replicas, in_memory, monitor: self.monitor })
            }
            Some(QueueUrl::PubSub { project, topic }) => BrokerSpec::PubSub(PubSubSpec {
                subscription: self.subscription.unwrap_or_else(|| topic.clone()),
                dead_letter: self.dead_letter.unwrap_or_else(|| format!("{topic}-dead")),
                project,
                topic,
                push,
                endpoint: emulators.pubsub,
            }),
            Some(QueueUrl::CloudTasks { project, location, queue }) => BrokerSpec::CloudTasks(CloudTasksSpec {
                project,
                location,
                queue,
                push: push.ok_or(
                    "Cloud Tasks calls this service: set queue.push_to to its https:// address, and queue.push_account",
                )?,
                endpoint: emulators.cloud_tasks,
            }),
        };
        Ok(Some(spec))
    }

    /// A key of another broker is a mistake, because it would have no effect.
    fn check_keys(&self) -> Result<(), String> {
        let (nats, pubsub, pushed) = ("nats://", "pubsub://", "pubsub:// and cloudtasks://");
        let (is_nats, is_pubsub, may_push) = match self.url.as_ref().map(|url| &url.0) {
            None => (false, false, false),
            Some(QueueUrl::Nats(_)) => (true, false, false),
            Some(QueueUrl::PubSub { .. }) => (false, true, true),
            Some(QueueUrl::CloudTasks { .. }) => (false, false, true),
        };
        let keys = [
            (self.stream.is_some(), is_nats, "stream", nats),
            (self.replicas.is_some(), is_nats, "replicas", nats),
            (self.storage.is_some(), is_nats, "storage", nats),
            (self.monitor.is_some(), is_nats, "monitor", nats),
            (
                self.subscription.is_some(),
                is_pubsub,
                "subscription",
                pubsub,
            ),
            (self.dead_letter.is_some(), is_pubsub, "dead_letter", pubsub),
            (self.push_to.is_some(), may_push, "push_to", pushed),
            (
                self.push_account.is_some(),
                may_push,
                "push_account",
                pushed,
            ),
            (self.push_keys.is_some(), may_push, "push_keys", pushed),
            (
                self.key.is_some(),
                self.url.is_some(),
                "key",
                "every broker",
            ),
            (
                self.accept_unsealed_until.is_some(),
                self.key.is_some(),
                "accept_unsealed_until",
                "queues with queue.key",
            ),
        ];
        match keys
            .into_iter()
            .find(|(is_there, has_meaning, ..)| *is_there && !has_meaning)
        {
            Some((.., key, of)) => {
                let missing = if key == "accept_unsealed_until" {
                    "queue.key"
                } else {
                    "queue.url to one of those"
                };
                Err(format!(
                    "queue.{key} is a key of {of}: set {missing}, or remove it"
                ))
            }
            None => Ok(()),
        }
    }

    /// Until when messages without a MAC are accepted, after a key was set for a queue that is in use.
    pub fn unsealed_until(&self, now: SystemTime) -> Result<Option<SystemTime>, String> {
        let Some(Parsed(UtcTime(until))) = self.accept_unsealed_until else {
            return Ok(None);
        };
        if until > now + UNSEALED_MAX {
            return Err(format!(
                "queue.accept_unsealed_until = {} is more than {} days ahead: until then anyone who may publish to the queue can run any hook",
                humantime::format_rfc3339_seconds(until),
                UNSEALED_MAX.as_secs() / 86_400
            ));
        }
        Ok(Some(until))
    }

    fn push(&self, emulators: &Emulators) -> Result<Option<PushSpec>, String> {
        let Some(to) = &self.push_to else {
            return match self.push_account.is_some() || self.push_keys.is_some() {
                true => Err("queue.push_account and queue.push_keys go with queue.push_to".into()),
                false => Ok(None),
            };
        };
        let to = to.trim_end_matches('/').to_owned();
        let is_local = emulators.pubsub.is_some() || emulators.cloud_tasks.is_some();
        let is_address = to.starts_with("https://") || (is_local && to.starts_with("http://"));
        if !is_address {
            return Err(format!(
                "queue.push_to = {to:?} is the public address of this service: it begins with https://"
            ));
        }
        let account = self
            .push_account
            .clone()
            .filter(|account| account.contains('@'));
        let account = account.ok_or(
            "queue.push_account is the e-mail of the service account in whose name the queue calls",
        )?;
        let keys = self.push_keys.clone().unwrap_or_else(|| GOOGLE_KEYS.into());
        Ok(Some(PushSpec { to, account, keys }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<BrokerSpec>, String> {
        toml::from_str::<QueueTable>(text)
            .map_err(|error| error.message().to_owned())?
            .broker(Emulators::default())
    }

    #[test]
    fn each_broker_has_its_keys_and_defaults() {
        let Ok(Some(BrokerSpec::PubSub(spec))) = read("url = \"pubsub://p/t\"") else {
            panic!()
        };
        assert_eq!(
            (
                spec.subscription.as_str(),
                spec.dead_letter.as_str(),
                spec.push
            ),
            ("t", "t-dead", None)
        );
        let pushed = "url = \"cloudtasks://p/l/q\"\npush_to = \"https://x.run.app/\"\npush_account = \"a@p\"";
        let Ok(Some(BrokerSpec::CloudTasks(spec))) = read(pushed) else {
            panic!()
        };
        assert_eq!(spec.push.url(), "https://x.run.app/_landfall/push");
        let Ok(Some(BrokerSpec::Nats(spec))) =
            read("url = \"nats://a:${env:P}@h:4222\"\nreplicas = 3")
        else {
            panic!()
        };
        assert_eq!(
            (spec.stream.as_str(), spec.replicas, spec.servers.len()),
            ("landfall", 3, 3)
        );
        assert_eq!(read("").unwrap(), None);
    }

    #[test]
    fn mistakes_name_the_key_and_the_way_out() {
        for (text, expected) in [
            ("url = \"kafka://h\"", "url is nats://HOST:4222"),
            ("url = \"pubsub://p\"", "url is nats://HOST:4222"),
            (
                "url = \"pubsub://p/t\"\nstream = \"s\"",
                "queue.stream is a key of nats://",
            ),
            ("replicas = 3", "queue.replicas is a key of nats://"),
            (
                "url = \"nats://h\"\naccept_unsealed_until = \"2026-01-31T08:15:30Z\"",
                "queue.accept_unsealed_until is a key of queues with queue.key: set queue.key",
            ),
            (
                "url = \"nats://h\"\nreplicas = 7",
                "queue.replicas = 7: 1, or 3 or 5",
            ),
            (
                "url = \"nats://h\"\nstream = \"a.b\"",
                "queue.stream is made of",
            ),
            (
                "url = \"cloudtasks://p/l/q\"",
                "Cloud Tasks calls this service: set queue.push_to",
            ),
            (
                "url = \"pubsub://p/t\"\npush_to = \"http://x\"",
                "queue.push_to = \"http://x\" is the public address",
            ),
            (
                "url = \"pubsub://p/t\"\npush_to = \"https://x\"",
                "queue.push_account is the e-mail",
            ),
            (
                "url = \"pubsub://p/t\"\npush_account = \"a@b\"",
                "queue.push_account and queue.push_keys go with",
            ),
        ] {
            let error = read(text).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn unsealed_messages_are_accepted_a_week() {
        let at = |text: &str| {
            let until = text.parse().map(Parsed)?;
            let table = QueueTable {
                accept_unsealed_until: Some(until),
                ..QueueTable::default()
            };
            table.unsealed_until(humantime::parse_rfc3339("2026-01-31T08:00:00Z").unwrap())
        };
        assert!(at("2026-02-07T08:00:00Z").unwrap().is_some());
        assert!(at("2026-02-07T08:00:01Z").unwrap_err().contains("7 days"));
        assert!(at("2020-01-01T00:00:00Z").unwrap().is_some(), "it is over");
        assert!(at("tomorrow").unwrap_err().contains("2026-01-31T08:15:30Z"));
    }
}
