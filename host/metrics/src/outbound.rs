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

/// Counts the calls of one version of a hook. The label `host` is the text of the hook file, such
/// as `*.example.com`, or `other`. The series of a host end with the last version that grants it.
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
        hook.granted.add(labels(&hosts));
        OutboundMetrics {
            hook,
            hosts,
            other: HostMetrics::new(OTHER.to_owned(), Vec::new()),
        }
    }

    /// A call with a response. `called` is the host of its URL, in lower case.
    pub fn answered(&self, called: &str, status: u16, duration: Duration) {
        self.count(self.host(called), Some(status), duration);
    }

    /// A call that was denied, or had no response. `error` is one of the words for that.
    pub fn failed(&self, url: &str, error: &str, duration: Duration) {
        self.hook.failed_calls.inc(error);
        self.count(self.host_of(url), None, duration);
    }

    fn count(&self, host: &HostMetrics, status: Option<u16>, duration: Duration) {
        let class = class(status);
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

    fn host_of(&self, url: &str) -> &HostMetrics {
        let Ok(url) = Url::parse(url) else {
            return &self.other;
        };
        url.host_str()
            .map_or(&self.other, |called| self.host(called))
    }

    /// A host that is named counts before a star that covers it.
    fn host(&self, called: &str) -> &HostMetrics {
        let named = self.hosts.iter().find(|host| host.label == called);
        named
            .or_else(|| self.hosts.iter().find(|host| host.covers(called)))
            .unwrap_or(&self.other)
    }
}

impl Drop for OutboundMetrics {
    fn drop(&mut self) {
        self.hook.granted.remove(labels(&self.hosts), |label| {
            for class in CLASSES {
                // A series that was never counted is not there.
                let _ = self.hook.calls.remove_label_values(&[label, class]);
            }
            let _ = self.hook.call_duration.remove_label_values(&[label]);
        });
    }
}

/// A host whose name is `other` shares the series of the calls that have no host, which stay.
fn labels(hosts: &[HostMetrics]) -> impl Iterator<Item = &str> {
    let labels = hosts.iter().map(|host| host.label.as_str());
    labels.filter(|label| *label != OTHER)
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

    fn grants(texts: &[&str]) -> Vec<HttpGrant> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn removed_grants_have_no_series() {
        let hook = HookMetrics::detached("h");
        let version = |texts: &[&str]| OutboundMetrics::new(hook.clone(), &grants(texts));
        let series = |host: &str| {
            let families = hook.collect();
            let series = families.iter().flat_map(|family| family.get_metric());
            series
                .flat_map(|series| series.get_label())
                .filter(|pair| pair.name() == "host" && pair.value() == host)
                .count()
        };
        let call = |version: &OutboundMetrics, host: &str| {
            let url = format!("https://{host}/");
            version.answered(host, 200, Duration::ZERO);
            version.failed(&url, "timeout", Duration::ZERO);
        };

        let first = version(&["https://a.example/", "https://b.example/"]);
        for host in ["a.example", "b.example", "c.example"] {
            call(&first, host);
        }
        let second = version(&["https://b.example/"]);
        // Two counters and a histogram. An attempt of the first version may still run.
        assert_eq!((series("a.example"), series("b.example")), (3, 3));
        drop(first);
        assert_eq!((series("a.example"), series("b.example")), (0, 3));
        assert_eq!(series(OTHER), 3);

        let third = version(&["https://a.example/", "https://b.example/"]);
        drop(second);
        call(&third, "a.example");
        assert_eq!((series("a.example"), series("b.example")), (3, 3));
        let counted = hook.calls.with_label_values(&["a.example", "2xx"]).get();
        assert_eq!(counted, 1);
    }

    #[test]
    fn hosts_are_those_of_grants() {
        let grants = grants(&[
            "https://a.example/x",
            "POST https://a.example/y",
            "https://*.b.example/",
            "https://named.b.example/",
            "http://127.0.0.1:9/",
        ]);
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
