//! The broker in which events wait, as the settings of the node name it. What its URL and its settings mean is known to the file of the
//! broker in `landfall-broker`.

use std::collections::BTreeMap;

use super::credential::CredentialText;

/// A broker, as the operator names it.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerSpec {
    /// `SCHEME://…`, perhaps with secrets in it, or one secret that is the whole URL.
    pub url: CredentialText,
    /// The keys of `[queue]` that are set and that only some brokers have.
    pub settings: BTreeMap<&'static str, String>,
    /// Addresses of emulators, by the environment variable that names them.
    pub emulators: BTreeMap<&'static str, String>,
}

/// How a broker calls the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSpec {
    /// `https://…`: the public address of this service, which is the audience of its tokens too.
    pub to: String,
    /// The service account in whose name it calls.
    pub account: String,
    /// Where the keys of its tokens are.
    pub keys: String,
}

// === impl PushSpec ===

impl PushSpec {
    /// The path of the calls, below `to`.
    pub const PATH: &str = "/_landfall/push";

    /// The URL of the calls.
    pub fn url(&self) -> String {
        format!("{}{}", self.to, PushSpec::PATH)
    }
}
