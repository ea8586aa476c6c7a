//! The settings of Pub/Sub.

use landfall_model::PushSpec;

use crate::error::SettingsError;
use crate::kind::Settings;
use crate::push;

pub(super) const URL_FORM: &str = "pubsub://PROJECT/TOPIC";
const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";

/// A topic, its subscription and a topic of dead letters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PubSubSpec {
    /// The project of all of them.
    pub project: String,
    pub topic: String,
    pub subscription: String,
    /// The topic of dead letters.
    pub dead_letter: String,
    /// How the subscription calls the node. `None`: the node pulls.
    pub push: Option<PushSpec>,
    /// The address of an emulator, which needs no credentials.
    pub endpoint: Option<String>,
}

// === impl PubSubSpec ===

impl PubSubSpec {
    pub(super) fn new(settings: &Settings<'_>) -> Result<PubSubSpec, SettingsError> {
        let Some([project, topic]) = settings.names() else {
            return Err(SettingsError(format!("queue.url is {URL_FORM}")));
        };
        let endpoint = settings.emulator(EMULATOR).map(str::to_owned);
        let dead_letter = settings.get("dead_letter").map(str::to_owned);

        Ok(PubSubSpec {
            subscription: settings.get("subscription").unwrap_or(&topic).to_owned(),
            dead_letter: dead_letter.unwrap_or_else(|| format!("{topic}-dead")),
            project,
            topic,
            push: push::spec(settings, endpoint.is_some())?,
            endpoint,
        })
    }
}
