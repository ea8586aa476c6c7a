//! What a broker tells of itself before it is connected: the form of its URL, its settings, and how
//! it is connected. `connect` lists the kinds.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use landfall_model::{BrokerSpec, Clock, CredentialPart, PushSpec, SecretRef, SecretSource};

use super::broker::Broker;
use super::error::{BrokerError, SettingsError};
use super::seal::Seal;

/// A kind of broker.
pub(crate) struct Kind {
    /// The schemes of its URL.
    pub schemes: &'static [&'static str],
    /// The form of its URL, for people.
    pub url_form: &'static str,
    /// The keys of `[queue]` that have a meaning for it. Keys that no other broker has are query
    /// parameters of its URL.
    pub keys: &'static [&'static str],
    /// Checks the settings. Nothing is connected.
    pub plan: fn(&Settings<'_>) -> Result<Arc<dyn BrokerPlan>, SettingsError>,
}

/// A broker whose settings are checked.
pub trait BrokerPlan: Send + Sync {
    /// Connects to the broker.
    fn connect(
        &self,
        options: ConnectOptions,
    ) -> BoxFuture<'static, Result<Arc<dyn Broker>, BrokerError>>;

    /// The credential that is not in the URL.
    fn token(&self) -> Option<SecretRef> {
        None
    }

    /// How the broker calls the node, if it does.
    fn push(&self) -> Option<&PushSpec> {
        None
    }

    /// Whether the broker can deliver the events of an order key in order.
    fn keeps_order(&self) -> bool {
        true
    }
}

/// What a connection needs of the node.
pub struct ConnectOptions {
    /// The URL of the broker with its secrets in it.
    pub url: String,
    /// Seals envelopes.
    pub seal: Arc<Seal>,
    /// The values of credentials.
    pub secrets: Arc<dyn SecretSource>,
    /// The time.
    pub clock: Clock,
}

/// The URL and the keys of `[queue]`, as a kind of broker reads them.
pub(crate) struct Settings<'a>(pub(super) &'a BrokerSpec);

// === impl Settings ===

impl Settings<'_> {
    /// The scheme of the URL. `None`: the whole URL is a secret.
    pub(crate) fn scheme(&self) -> Option<&str> {
        Some(self.literal_url()?.split_once("://")?.0)
    }

    /// Whether the URL has no secrets in it.
    pub(crate) fn is_literal(&self) -> bool {
        matches!(self.0.url[..], [CredentialPart::Literal(_)])
    }

    /// The URL behind its scheme, up to the first secret.
    pub(crate) fn address(&self) -> &str {
        let url = self.literal_url().and_then(|url| url.split_once("://"));
        url.map_or("", |(_, address)| address)
    }

    /// The names in a URL of the form `SCHEME://NAME/NAME`, if there are as many as that.
    pub(crate) fn names<const N: usize>(&self) -> Option<[String; N]> {
        let names: Vec<String> = self.address().split('/').map(str::to_owned).collect();
        let is_name = |name: &String| {
            let is_valid = |c: char| c.is_ascii_alphanumeric() || "-._~%+:".contains(c);
            !name.is_empty() && name.chars().all(is_valid)
        };
        if !names.iter().all(is_name) {
            return None;
        }
        names.try_into().ok()
    }

    /// The value of a key of `[queue]`.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.settings.get(key).map(String::as_str)
    }

    /// The address of an emulator, by the environment variable that names it.
    pub(crate) fn emulator(&self, variable: &str) -> Option<&str> {
        self.0.emulators.get(variable).map(String::as_str)
    }

    fn literal_url(&self) -> Option<&str> {
        match self.0.url.first()? {
            CredentialPart::Literal(text) => Some(text),
            CredentialPart::Secret(_) => None,
        }
    }
}
