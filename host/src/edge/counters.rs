//! What is counted of requests, for `/metrics` on the admin listener. Labels are names of hooks and fixed words.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

/// Counters since the start.
pub struct Counters {
    registry: Registry,
    /// By hook and by key: `signature#2` is the second secret of the list.
    verified: IntCounterVec,
    /// By hook and reason.
    refused: IntCounterVec,
    /// By hook.
    challenges: IntCounterVec,
    dropped: IntCounter,
}

// === impl Counters ===

impl Counters {
    pub fn new() -> Counters {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels).expect("constant names are good ones");
            registry.register(Box::new(counter.clone())).expect("each name is registered once");
            counter
        };
        let verified = counter("landfall_verified_total", "Requests that have proven their sender.", &["hook", "key"]);
        let refused = counter("landfall_refused_total", "Requests that were not let in.", &["hook", "reason"]);
        let help = "Records of attempts in mode sync for which the ledger had no room.";
        let dropped = IntCounter::new("landfall_records_dropped_total", help).expect("a constant name is a good one");
        registry.register(Box::new(dropped.clone())).expect("each name is registered once");
        let challenges = counter("landfall_challenges_total", "Ownership checks answered.", &["hook"]);
        Counters { registry, verified, refused, challenges, dropped }
    }

    pub fn verified(&self, hook: &str, key: &str) {
        self.verified.with_label_values(&[hook, key]).inc();
    }

    pub fn refused(&self, hook: &str, reason: &str) {
        self.refused.with_label_values(&[hook, reason]).inc();
    }

    pub fn challenge(&self, hook: &str) {
        self.challenges.with_label_values(&[hook]).inc();
    }

    /// In the text format of Prometheus.
    /// `dropped` are records of attempts in mode `sync` for which the ledger had no room.
    pub fn text(&self, dropped: u64) -> String {
        self.dropped.reset();
        self.dropped.inc_by(dropped);
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}
