//! The settings of NATS.

use crate::error::SettingsError;
use crate::kind::Settings;

pub(super) const URL_FORM: &str = "nats://HOST:4222 (with ${env:PASSWORD} if it has a password, \
                                   or a secret reference that is the whole URL)";

/// A stream of events, and one of dead letters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NatsSpec {
    /// The name of the stream. The other one is `NAME-dead`.
    pub stream: String,
    /// 1, 3 or 5.
    pub replicas: usize,
    /// Nothing outlives the server.
    pub in_memory: bool,
    /// The monitoring address of the server (`http://host:8222`): only there it says how often it
    /// syncs.
    pub monitor: Option<String>,
}

// === impl NatsSpec ===

impl NatsSpec {
    pub(super) fn new(settings: &Settings<'_>) -> Result<NatsSpec, SettingsError> {
        if settings.is_literal() && settings.address().is_empty() {
            return Err(SettingsError(format!("queue.url is {URL_FORM}")));
        }

        let stream = settings.get("stream").unwrap_or("landfall");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if stream.is_empty() || !stream.chars().all(is_name) {
            let why = "queue.stream is made of letters, digits, `-` and `_`";
            return Err(SettingsError(why.into()));
        }

        let replicas = match settings.get("replicas") {
            None | Some("1") => 1,
            Some("3") => 3,
            Some("5") => 5,
            Some(other) => {
                let why = format!("queue.replicas = {other}: 1, or 3 or 5 in a cluster");
                return Err(SettingsError(why));
            }
        };

        Ok(NatsSpec {
            stream: stream.into(),
            replicas,
            in_memory: settings.get("storage") == Some("memory"),
            monitor: settings.get("monitor").map(str::to_owned),
        })
    }
}
