//! The outbound calls of a hook, by the hosts that its hook file grants.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use landfall_model::HttpGrant;
use prometheus::{Histogram, IntCounter};
use url::Url;

use super::hook::HookMetrics;
use super::requests::{CLASSES, class};

/// The host of a call that no entry of `[allow] http` names.
const OTHER: &str = "other";

/// Counts the calls of one hook. The label `host` is the text of the hook file, such as
/// `*.example.com`, or `other`.
pub struct OutboundMetrics {
    hook: Arc<HookMetrics>,
    hosts: Vec<HostMetrics>,
    other: HostMetrics,
}

struct HostMetrics {
    label: String,
    grants: Vec<HttpGrant>,
    calls: [OnceLock<IntCounter>; CLASSES.len()],
    duration: OnceLock<Histogram>,
}

// === impl OutboundMetrics ===

impl OutboundMetrics {
    /// `grants` are the entries of `[allow] http`.
    pub fn new(hook: Arc<HookMetrics>, grants: &[HttpGrant]) -> OutboundMetrics {
        let mut hosts: Vec<HostMetrics> = Vec::new();
        for grant in grants {
            let label = grant.host_pattern();
            match hosts.iter_mut().find(|host| host.label == label) {
                Some(host) => host.grants.push(grant.clone()),
                None => hosts.push(HostMetrics::new(label, vec![grant.clone()])),
            }
        }
        OutboundMetrics {
            hook,
            hosts,
            other: HostMetrics::new(OTHER.to_owned(), Vec::new()),
        }
    }

    /// A call with a response.
    pub fn answered(&self, url: &str, status: u16, duration: Duration) {
        self.count(url, Some(status), duration);
    }

    /// A call that was denied, or had no response. `error` is one of the words for that.
    pub fn failed(&self, url: &str, error: &str, duration: Duration) {
        self.hook.failed_calls.inc(error);
        self.count(url, None, duration);
    }

    fn count(&self, url: &str, status: Option<u16>, duration: Duration) {
        let (host, class) = (self.host_of(url), class(status));
        host.calls[class]
            .get_or_init(|| {
                let values = [host.label.as_str(), CLASSES[class]];
                self.hook.calls.with_label_values(&values)
            })
            .inc();
        host.duration
            .get_or_init(|| self.hook.call_duration.with_label_values(&[&host.label]))
            .observe(duration.as_secs_f64());
    }

    /// A host that is named counts before a star that covers it.
    fn host_of(&self, url: &str) -> &HostMetrics {
        let Ok(url) = Url::parse(url) else {
            return &self.other;
        };
        let Some(called) = url.host_str() else {
            return &self.other;
        };
        let named = self.hosts.iter().find(|host| host.label == called);
        named
            .or_else(|| self.hosts.iter().find(|host| host.covers(called)))
            .unwrap_or(&self.other)
    }
}

// === impl HostMetrics ===

impl HostMetrics {
    fn new(label: String, grants: Vec<HttpGrant>) -> HostMetrics {
        HostMetrics {
            label,
            grants,
            calls: Default::default(),
            duration: OnceLock::new(),
        }
    }

    fn covers(&self, called: &str) -> bool {
        self.grants.iter().any(|grant| grant.covers_host(called))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_grants() {
        let grants: Vec<HttpGrant> = [
            "https://a.example/x",
            "POST https://a.example/y",
            "https://*.b.example/",
            "https://named.b.example/",
            "http://127.0.0.1:9/",
        ]
        .iter()
        .map(|grant| grant.parse().unwrap())
        .collect();
        let calls = OutboundMetrics::new(HookMetrics::detached("h"), &grants);
        assert_eq!(calls.hosts.len(), 4);
        for (url, host) in [
            ("https://A.example/z?q", "a.example"),
            ("https://c.b.example/", "*.b.example"),
            ("https://named.b.example/", "named.b.example"),
            ("http://127.0.0.1:10/", "127.0.0.1"),
            ("https://b.example/", "other"),
            ("https://a.example.evil.test/", "other"),
            ("https://a.example@evil.test/", "other"),
            ("not a URL", "other"),
        ] {
            assert_eq!(calls.host_of(url).label, host, "{url}");
        }
    }
}
