//! What one hook may call: URL prefixes, and the special addresses that the operator named.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::address;
use crate::model::Allow;

/// The outbound grants of one hook.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Allow,
}

// === impl Policy ===

impl Policy {
    /// From the hook's `[allow]`. An address written literally in `http` names its own range.
    pub fn new(mut allow: Allow) -> Policy {
        let literal: Vec<IpNet> =
            allow.http.iter().filter_map(|prefix| prefix.literal_address()).map(IpNet::from).collect();
        allow.addresses.extend(literal);
        Policy { allow }
    }

    /// Whether some prefix covers the URL.
    pub fn allows_url(&self, url: &Url) -> bool {
        self.allow.http.iter().any(|prefix| prefix.covers(url))
    }

    /// Whether a connection may be made to this address: public, or named by the operator.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !address::is_special(address) || self.allow.addresses.iter().any(|range| range.contains(&address))
    }
}
