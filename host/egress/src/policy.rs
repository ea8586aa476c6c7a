//! What one hook may call: URL prefixes, and the special addresses that the operator named.

use std::net::IpAddr;

use http::Method;
use ipnet::IpNet;
use url::Url;

use super::address;
use landfall_model::{Allow, HttpGrant};

/// The outbound grants of one hook.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Allow,
    /// Any address may be reached: the operator's own calls.
    is_anywhere: bool,
    /// Any URL may be called: calls of the host itself.
    is_any_url: bool,
}

// === impl Policy ===

impl Policy {
    /// From the hook's `[allow]`.
    pub fn new(allow: Allow) -> Policy {
        Policy {
            allow,
            ..Policy::default()
        }
    }

    /// For what the operator wrote down himself, not for a component: at any address.
    pub fn anywhere(http: Vec<HttpGrant>) -> Policy {
        Policy {
            allow: Allow {
                http,
                ..Allow::default()
            },
            is_anywhere: true,
            is_any_url: false,
        }
    }

    /// For calls of the host to URLs that only the operator names: any URL, at any address.
    pub fn unrestricted() -> Policy {
        Policy {
            is_any_url: true,
            ..Policy::anywhere(Vec::new())
        }
    }

    /// For calls of the host to URLs that the caller has checked: any URL, at public addresses, in these ranges, and at an address
    /// that the URL itself contains.
    pub fn public(addresses: Vec<IpNet>) -> Policy {
        let allow = Allow {
            addresses,
            ..Allow::default()
        };
        Policy {
            is_any_url: true,
            ..Policy::new(allow)
        }
    }

    /// Whether some grant covers the call.
    pub fn allows(&self, method: &Method, url: &Url) -> bool {
        self.is_any_url
            || self
                .allow
                .http
                .iter()
                .any(|grant| grant.covers(method, url))
    }

    /// Whether some grant covers the URL, by whatever method.
    pub fn allows_url(&self, url: &Url) -> bool {
        self.is_any_url || self.allow.http.iter().any(|grant| grant.covers_url(url))
    }

    /// Redirects that may be followed in one call.
    pub fn redirects(&self) -> u8 {
        self.allow.redirects
    }

    /// Whether a connection to `host` may be made to this address: public, or in a range that the operator named. An address
    /// written in `http` names itself for calls that write it too (`is_literal`); no name may lead there by that. Where clouds
    /// keep their metadata only a host gets that the operator wrote himself, by an address that he wrote himself.
    pub fn allows_address(&self, host: &str, address: IpAddr, is_literal: bool) -> bool {
        let address = address.to_canonical();
        let grants = || self.allow.http.iter();
        let is_written = || {
            grants()
                .filter_map(HttpGrant::literal_address)
                .any(|a| a.to_canonical() == address)
        };
        let is_single = || {
            self.allow
                .addresses
                .iter()
                .any(|range| range.addr() == address && is_whole(range))
        };
        if self.is_anywhere
            || !address::is_special(address)
            || (is_literal && (self.is_any_url || is_written()))
        {
            return true;
        }
        match address::is_metadata(address) {
            true => is_single() && grants().any(|grant| grant.names(host)),
            false => self
                .allow
                .addresses
                .iter()
                .any(|range| range.contains(&address)),
        }
    }
}

/// One address and no more.
fn is_whole(range: &IpNet) -> bool {
    range.prefix_len() == range.max_prefix_len()
}
