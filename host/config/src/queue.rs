//! `[queue]`: the broker that carries events, checked.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::node_settings::{QueueTable, Storage};
use super::values::{Parsed, UtcTime};
use landfall_model::BrokerSpec;

/// The longest time for which messages without a MAC are accepted beside a key.
const UNSEALED_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Emulators, by the variables that Google's own libraries read.
#[derive(Debug, Default)]
pub(crate) struct Emulators {
    pub(crate) pubsub: Option<String>,
    pub(crate) cloud_tasks: Option<String>,
}

/// What is wrong with `[queue]`.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum QueueError {
    #[error("queue.{0} has no effect without queue.url: set queue.url, or remove it")]
    NoUrl(&'static str),
    #[error(
        "queue.accept_unsealed_until has no effect without queue.key: set queue.key, or remove it"
    )]
    NoKey,
    #[error(
        "queue.accept_unsealed_until = {} is more than {} days ahead: until then anyone who may publish to the queue can run any hook",
        humantime::format_rfc3339_seconds(*.0),
        UNSEALED_MAX.as_secs() / 86_400
    )]
    UnsealedUntil(SystemTime),
}

/// The broker of `[queue]`. `None`: events wait in the ledger. `landfall-broker` checks the URL and
/// the keys that only some brokers have.
pub(crate) fn broker(
    table: &QueueTable,
    emulators: Emulators,
) -> Result<Option<BrokerSpec>, QueueError> {
    if table.accept_unsealed_until.is_some() && table.key.is_none() {
        return Err(QueueError::NoKey);
    }

    let settings = settings(table);
    let Some(url) = &table.url else {
        let has_key = table.key.is_some();
        let unused = settings.keys().next().copied();
        return match unused.or(has_key.then_some("key")) {
            None => Ok(None),
            Some(key) => Err(QueueError::NoUrl(key)),
        };
    };

    Ok(Some(BrokerSpec {
        url: url.0.0.clone(),
        settings,
        emulators: emulators.by_variable(),
    }))
}

/// The keys that are set and that only some brokers have.
fn settings(table: &QueueTable) -> BTreeMap<&'static str, String> {
    let storage = table.storage.map(|storage| match storage {
        Storage::File => "file".to_owned(),
        Storage::Memory => "memory".to_owned(),
    });
    let replicas = table.replicas.map(|replicas| replicas.to_string());
    let all = [
        ("stream", table.stream.clone()),
        ("replicas", replicas),
        ("storage", storage),
        ("monitor", table.monitor.clone()),
        ("subscription", table.subscription.clone()),
        ("dead_letter", table.dead_letter.clone()),
        ("push_to", table.push_to.clone()),
        ("push_account", table.push_account.clone()),
        ("push_keys", table.push_keys.clone()),
    ];
    only_set(all)
}

/// Until when messages without a MAC are accepted although `queue.key` is set.
pub(crate) fn unsealed_until(
    table: &QueueTable,
    now: SystemTime,
) -> Result<Option<SystemTime>, QueueError> {
    match table.accept_unsealed_until {
        Some(Parsed(UtcTime(until))) if until > now + UNSEALED_MAX => {
            Err(QueueError::UnsealedUntil(until))
        }
        Some(Parsed(UtcTime(until))) => Ok(Some(until)),
        None => Ok(None),
    }
}

fn only_set<const N: usize>(
    all: [(&'static str, Option<String>); N],
) -> BTreeMap<&'static str, String> {
    let set = all
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    set.collect()
}

// === impl Emulators ===

impl Emulators {
    fn by_variable(self) -> BTreeMap<&'static str, String> {
        only_set([
            ("PUBSUB_EMULATOR_HOST", self.pubsub),
            ("CLOUD_TASKS_EMULATOR_HOST", self.cloud_tasks),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::CredentialPart;

    fn read(text: &str) -> Result<Option<BrokerSpec>, String> {
        let table = toml::from_str::<QueueTable>(text);
        let table = table.map_err(|error| error.message().to_owned())?;
        broker(&table, Emulators::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn brokers_get_the_keys_set() {
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
    fn mistakes_name_key_and_remedy() {
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
            let table = QueueTable {
                accept_unsealed_until: Some(Parsed(text.parse().unwrap())),
                ..QueueTable::default()
            };
            unsealed_until(
                &table,
                humantime::parse_rfc3339("2026-01-31T08:00:00Z").unwrap(),
            )
        };

        assert!(at("2026-02-07T08:00:00Z").unwrap().is_some());
        let error = at("2026-02-07T08:00:01Z").unwrap_err();
        assert!(error.to_string().contains("7 days"), "{error}");
        assert!(at("2020-01-01T00:00:00Z").unwrap().is_some(), "it is over");
        let error = "tomorrow".parse::<UtcTime>().unwrap_err();
        assert!(error.to_string().contains("2026-01-31T08:15:30Z"));
    }
}
