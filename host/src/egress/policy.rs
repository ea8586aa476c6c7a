//! What one hook may call: URL prefixes, and the special addresses that the operator named.

use std::net::IpAddr;

use url::Url;

use super::address;
use crate::model::{Allow, UrlPrefix};

/// The outbound grants of one hook.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Allow,
}

// === impl Policy ===

impl Policy {
    /// From the hook's `[allow]`.
    pub fn new(allow: Allow) -> Policy {
        Policy { allow }
    }

    /// Whether some prefix covers the URL.
    pub fn allows_url(&self, url: &Url) -> bool {
        self.allow.http.iter().any(|prefix| prefix.covers(url))
    }

    /// Whether a connection may be made to this address: public, or in a range that the operator named. An address
    /// written in `http` names itself for calls that write it too (`is_literal`); no name may lead there by that.
    pub fn allows_address(&self, address: IpAddr, is_literal: bool) -> bool {
        let address = address.to_canonical();
        let is_written =
            || self.allow.http.iter().filter_map(UrlPrefix::literal_address).any(|a| a.to_canonical() == address);
        !address::is_special(address)
            || self.allow.addresses.iter().any(|range| range.contains(&address))
            || (is_literal && is_written())
    }
}
