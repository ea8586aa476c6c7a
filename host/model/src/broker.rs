//! The broker in which events wait, as the settings of the node name it. What its URL and its
//! settings mean is known to the file of the broker in `landfall-broker`.

use std::collections::BTreeMap;

use super::credential::CredentialText;

/// A broker and its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerSpec {
    /// `SCHEME://…`, perhaps with secrets in it, or one secret that is the whole URL.
    pub url: CredentialText,
    /// The keys of `[queue]` that are set and that only some brokers have.
    pub settings: BTreeMap<&'static str, String>,
    /// Addresses of emulators, by the environment variable that names them.
    pub emulators: BTreeMap<&'static str, String>,
}

/// How a broker calls this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSpec {
    /// `https://…`: the public address of this node, which is also the audience of the broker's
    /// tokens.
    pub to: String,
    /// The service account that signs the broker's tokens.
    pub account: String,
    /// URL of the keys of the broker's tokens.
    pub keys: String,
}

// === impl PushSpec ===

impl PushSpec {
    /// The path that brokers call, below `to`.
    pub const PATH: &str = "/_landfall/push";

    /// The URL that brokers call.
    pub fn url(&self) -> String {
        format!("{}{}", self.to, PushSpec::PATH)
    }
}
