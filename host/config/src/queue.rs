//! `[queue]`: which broker carries events, as it is typed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::credential::Text;
use super::values::{Parsed, SecretRefs, UtcTime};
use landfall_model::{BrokerSpec, CredentialPart, CredentialText};

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

/// The URL of the broker. Its scheme says which broker it is; `landfall-broker` knows the schemes.
#[derive(Debug, Clone)]
pub struct QueueUrl(CredentialText);

/// Emulators, by the variables that Google's own libraries know.
#[derive(Debug, Default)]
pub struct Emulators {
    pub pubsub: Option<String>,
    pub cloud_tasks: Option<String>,
}

/// The longest time for which messages without a MAC are accepted beside a key.
const UNSEALED_MAX: Duration = Duration::from_secs(7 * 86_400);

impl std::str::FromStr for QueueUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<QueueUrl, String> {
        let part = if !text.contains("://") {
            let reference = text.parse().map_err(|_| {
                "url is SCHEME://…, or a secret reference that is the whole URL".to_owned()
            })?;
            CredentialPart::Secret(reference)
        } else if text.contains("${") {
            return text.parse::<Text>().map(|text| QueueUrl(text.0));
        } else {
            CredentialPart::Literal(text.into())
        };
        Ok(QueueUrl(vec![part]))
    }
}

// === impl QueueTable ===

impl QueueTable {
    /// The broker, if there is one. `landfall-broker` checks its URL and the keys that only some brokers have.
    pub fn broker(self, emulators: Emulators) -> Result<Option<BrokerSpec>, String> {
        if self.accept_unsealed_until.is_some() && self.key.is_none() {
            return Err(
                "queue.accept_unsealed_until has no effect without queue.key: set queue.key, or remove it"
                    .into(),
            );
        }
        let has_key = self.key.is_some();
        let url = self.url.as_ref().map(|url| url.0.0.clone());
        let settings = self.settings();
        let Some(url) = url else {
            let unused = settings.keys().next().copied().or(has_key.then_some("key"));
            return match unused {
                None => Ok(None),
                Some(key) => Err(format!(
                    "queue.{key} has no effect without queue.url: set queue.url, or remove it"
                )),
            };
        };
        Ok(Some(BrokerSpec {
            url,
            settings,
            emulators: emulators.by_variable(),
        }))
    }

    /// The keys that are set and that only some brokers have.
    fn settings(self) -> BTreeMap<&'static str, String> {
        let storage = self.storage.map(|storage| match storage {
            Storage::File => "file".to_owned(),
            Storage::Memory => "memory".to_owned(),
        });
        let all = [
            ("stream", self.stream),
            (
                "replicas",
                self.replicas.map(|replicas| replicas.to_string()),
            ),
            ("storage", storage),
            ("monitor", self.monitor),
            ("subscription", self.subscription),
            ("dead_letter", self.dead_letter),
            ("push_to", self.push_to),
            ("push_account", self.push_account),
            ("push_keys", self.push_keys),
        ];
        let set = all
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        set.collect()
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
}

// === impl Emulators ===

impl Emulators {
    fn by_variable(self) -> BTreeMap<&'static str, String> {
        let all = [
            ("PUBSUB_EMULATOR_HOST", self.pubsub),
            ("CLOUD_TASKS_EMULATOR_HOST", self.cloud_tasks),
        ];
        let set = all
            .into_iter()
            .filter_map(|(variable, address)| Some((variable, address?)));
        set.collect()
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
    fn brokers_get_the_keys_that_are_set() {
        let text = "url = \"nats://a:${env:P}@h:4222\"\nreplicas = 3\nstorage = \"memory\"";
        let spec = read(text).unwrap().unwrap();
        assert_eq!(spec.url.len(), 3);
        let set = [("replicas", "3"), ("storage", "memory")];
        let set = set.map(|(key, value)| (key, value.to_owned()));
        assert_eq!(spec.settings, BTreeMap::from(set));

        let whole = read("url = \"env:QUEUE_URL\"").unwrap().unwrap();
        assert!(matches!(whole.url[..], [CredentialPart::Secret(_)]));
        assert_eq!(read("").unwrap(), None);
    }

    #[test]
    fn mistakes_name_the_key_and_the_way_out() {
        for (text, expected) in [
            ("url = \"localhost\"", "url is SCHEME://…"),
            (
                "replicas = 3",
                "queue.replicas has no effect without queue.url: set queue.url",
            ),
            (
                "key = \"env:K\"",
                "queue.key has no effect without queue.url",
            ),
            (
                "url = \"nats://h\"\naccept_unsealed_until = \"2026-01-31T08:15:30Z\"",
                "queue.accept_unsealed_until has no effect without queue.key: set queue.key",
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
