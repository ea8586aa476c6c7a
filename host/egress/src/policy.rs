//! What one hook may call: URL prefixes, and the special addresses that the operator granted.

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
    /// Whether every address is allowed: for calls of the operator.
    is_anywhere: bool,
    /// Whether every URL may be called: for calls of the host itself.
    is_any_url: bool,
    /// Whether every literal address grants itself: for URLs that the operator wrote.
    is_any_literal: bool,
}

// === impl Policy ===

impl Policy {
    /// The policy of a hook's `[allow]`.
    pub fn new(allow: Allow) -> Policy {
        Policy {
            allow,
            ..Policy::default()
        }
    }

    /// The policy for URLs in the operator's settings, which may have any address.
    pub fn anywhere(http: Vec<HttpGrant>) -> Policy {
        Policy {
            allow: Allow {
                http,
                ..Allow::default()
            },
            is_anywhere: true,
            ..Policy::default()
        }
    }

    /// For calls of the host to URLs that only the operator names: any URL, at any address.
    pub fn unrestricted() -> Policy {
        Policy {
            is_any_url: true,
            ..Policy::anywhere(Vec::new())
        }
    }

    /// For calls to a URL that the operator typed, and to where its answers lead: any URL. From a
    /// host with only special addresses every address can be reached, from any other host only
    /// public ones.
    pub fn from_host(addresses: &[IpAddr]) -> Policy {
        let is_special = |address: &IpAddr| address::is_special(address.to_canonical());
        // The owner of a name with one public address chooses its other addresses too.
        if !addresses.is_empty() && addresses.iter().all(is_special) {
            Policy::unrestricted()
        } else {
            Policy::public(Vec::new())
        }
    }

    /// The same policy, with up to this many redirects of one call.
    pub fn with_redirects(mut self, redirects: u8) -> Policy {
        self.allow.redirects = redirects;
        self
    }

    /// For calls of the host to URLs that a hook file contains: as `public`, and a literal address
    /// in the URL grants itself.
    pub fn configured(addresses: Vec<IpNet>) -> Policy {
        Policy {
            is_any_literal: true,
            ..Policy::public(addresses)
        }
    }

    /// For calls of the host to URLs that a sender influences and the caller has checked: any URL,
    /// at public addresses and in these ranges.
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

    /// Whether a grant covers the call.
    pub(crate) fn allows(&self, method: &Method, url: &Url) -> bool {
        self.is_any_url
            || self
                .allow
                .http
                .iter()
                .any(|grant| grant.covers(method, url))
    }

    /// Whether a grant covers the URL with any method.
    pub(crate) fn allows_url(&self, url: &Url) -> bool {
        self.is_any_url || self.allow.http.iter().any(|grant| grant.covers_url(url))
    }

    /// The most redirects of one call.
    pub(crate) fn redirects(&self) -> u8 {
        self.allow.redirects
    }

    /// Whether a connection to `host` may be made to this address. It must be public or in a
    /// granted range.
    ///
    /// A literal address in `[allow] http` or in a hook file's own URL grants itself, but only for
    /// calls that write it too (`is_literal`): no name may lead there. The metadata address of a
    /// cloud must be granted as a single address, and `host` must be written in `[allow] http`.
    pub(crate) fn allows_address(&self, host: &str, address: IpAddr, is_literal: bool) -> bool {
        let address = address.to_canonical();
        if self.is_anywhere || !address::is_special(address) {
            return true;
        }
        if is_literal && (self.is_any_literal || self.names_literal(address)) {
            return true;
        }

        if address::is_metadata(address) {
            self.grants_single(address) && self.allow.http.iter().any(|grant| grant.names(host))
        } else {
            self.allow
                .addresses
                .iter()
                .any(|range| range.contains(&address))
        }
    }

    fn names_literal(&self, address: IpAddr) -> bool {
        self.allow
            .http
            .iter()
            .filter_map(HttpGrant::literal_address)
            .any(|literal| literal.to_canonical() == address)
    }

    fn grants_single(&self, address: IpAddr) -> bool {
        self.allow
            .addresses
            .iter()
            .any(|range| range.addr() == address && is_single(range))
    }
}

/// Whether a range is a single address.
fn is_single(range: &IpNet) -> bool {
    range.prefix_len() == range.max_prefix_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a policy allows a connection to the literal address of a URL.
    fn allows_literal(policy: &Policy, address: &str) -> bool {
        policy.allows_address(address, address.parse().unwrap(), true)
    }

    #[test]
    fn public_hosts_lead_to_public_addresses() {
        let from = |address: &str| Policy::from_host(&[address.parse().unwrap()]);
        assert!(allows_literal(&from("127.0.0.1"), "10.0.0.1"));
        assert!(allows_literal(&from("8.8.8.8"), "1.1.1.1"));
        let both = ["8.8.8.8", "10.0.0.1"].map(|address| address.parse().unwrap());
        assert!(!allows_literal(&Policy::from_host(&both), "10.0.0.1"));
        for special in ["127.0.0.1", "10.0.0.1", "169.254.169.254"] {
            assert!(!allows_literal(&from("8.8.8.8"), special), "{special}");
        }
    }

    #[test]
    fn literal_special_addresses_are_refused() {
        const SPECIAL: [&str; 6] = [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "::1",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
        ];
        let range = || vec!["10.0.0.0/8".parse().unwrap()];
        for address in SPECIAL {
            let is_in_range = address.starts_with("10.");
            assert!(!allows_literal(&Policy::default(), address), "{address}");
            assert!(
                !allows_literal(&Policy::public(Vec::new()), address),
                "{address}"
            );
            assert_eq!(
                allows_literal(&Policy::public(range()), address),
                is_in_range,
                "{address}"
            );
            assert!(
                allows_literal(&Policy::configured(Vec::new()), address),
                "{address}"
            );
        }
        assert!(allows_literal(&Policy::public(Vec::new()), "1.1.1.1"));
        // A name does not lead there, even if the operator wrote it.
        let configured = Policy::configured(Vec::new());
        assert!(!configured.allows_address("a.example", "127.0.0.1".parse().unwrap(), false));
    }
}
