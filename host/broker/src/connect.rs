//! The kinds of brokers, and how one is chosen by the scheme of `queue.url`.

use std::sync::Arc;

use landfall_model::BrokerSpec;

use super::error::SettingsError;
use super::kind::{BrokerPlan, Kind, Settings};
use super::{cloud_tasks, nats, pubsub};

/// One line for each broker.
const KINDS: &[&Kind] = &[
    // The form of URLs in errors is in this order.
    &nats::KIND,
    &pubsub::KIND,
    &cloud_tasks::KIND,
];

/// Checks the settings of a broker.
pub fn plan(spec: &BrokerSpec) -> Result<Arc<dyn BrokerPlan>, SettingsError> {
    let settings = Settings(spec);
    // A URL that is a secret as a whole is one of NATS.
    let scheme = settings.scheme().unwrap_or("nats");
    let Some(kind) = KINDS.iter().find(|kind| kind.schemes.contains(&scheme)) else {
        let forms: Vec<&str> = KINDS.iter().map(|kind| kind.url_form).collect();
        return Err(SettingsError(format!(
            "queue.url is {}",
            forms.join(", or ")
        )));
    };

    let unused = spec.settings.keys().find(|key| !kind.keys.contains(key));
    if let Some(key) = unused {
        return Err(SettingsError(format!(
            "queue.{key} is a key of {}: set queue.url to one of those, or remove it",
            owners(key)
        )));
    }
    (kind.plan)(&settings)
}

/// The brokers that have a key, as schemes.
fn owners(key: &str) -> String {
    let owners = KINDS.iter().filter(|kind| kind.keys.contains(&key));
    let schemes: Vec<String> = owners
        .map(|kind| format!("{}://", kind.schemes[0]))
        .collect();
    schemes.join(" and ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use landfall_model::CredentialPart;

    use super::*;

    fn planned(
        url: &str,
        settings: &[(&'static str, &str)],
    ) -> Result<Arc<dyn BrokerPlan>, SettingsError> {
        let settings = settings
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()));
        plan(&BrokerSpec {
            url: vec![CredentialPart::Literal(url.into())],
            settings: settings.collect(),
            emulators: BTreeMap::new(),
        })
    }

    #[test]
    fn the_scheme_chooses_the_broker() {
        let pulled = planned("pubsub://p/t", &[]).unwrap();
        assert!(pulled.push().is_none() && pulled.token().is_some() && pulled.keeps_order());

        let push = [("push_to", "https://x.run.app/"), ("push_account", "a@p")];
        let tasks = planned("cloudtasks://p/l/q", &push).unwrap();
        assert_eq!(
            tasks.push().unwrap().url(),
            "https://x.run.app/_landfall/push"
        );
        assert!(!tasks.keeps_order());

        let nats = planned("tls://h:4222", &[("replicas", "3")]).unwrap();
        assert!(nats.push().is_none() && nats.token().is_none());
    }

    #[test]
    fn mistakes_name_key_and_fix() {
        for (url, settings, expected) in [
            ("kafka://h", &[][..], "queue.url is nats://HOST:4222"),
            ("pubsub://p", &[], "queue.url is pubsub://PROJECT/TOPIC"),
            (
                "pubsub://p/t",
                &[("stream", "s")],
                "queue.stream is a key of nats://: set queue.url",
            ),
            (
                "nats://h",
                &[("push_to", "https://x")],
                "queue.push_to is a key of pubsub:// and cloudtasks://",
            ),
            (
                "nats://h",
                &[("replicas", "7")],
                "queue.replicas = 7: 1, or 3 or 5",
            ),
            ("nats://h", &[("stream", "a.b")], "queue.stream is made of"),
            (
                "cloudtasks://p/l/q",
                &[],
                "Cloud Tasks calls this service: set queue.push_to",
            ),
            (
                "pubsub://p/t",
                &[("push_to", "http://x")],
                "queue.push_to = \"http://x\" is the public address",
            ),
            (
                "pubsub://p/t",
                &[("push_to", "https://x")],
                "queue.push_account is the e-mail",
            ),
            (
                "pubsub://p/t",
                &[("push_account", "a@b")],
                "queue.push_account and queue.push_keys go with",
            ),
        ] {
            let error = planned(url, settings).err().expect(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
