//! The counters of requests for `/metrics`. Labels are hook names and fixed words.

use std::sync::Arc;

use landfall_dispatch::RepeatCounts;
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
    /// By hook and the status that was not sent.
    avoided: IntCounterVec,
    dropped: IntCounter,
    /// By hook and outcome.
    attempts: IntCounterVec,
    /// By hook and result.
    duplicates: IntCounterVec,
    /// By hook.
    conflicts: IntCounterVec,
    /// By reason.
    messages: IntCounterVec,
}

// === impl Counters ===

impl Counters {
    pub(crate) fn new() -> Counters {
        let registry = Registry::new();
        let verified = counter(
            &registry,
            "landfall_verified_total",
            "Requests that have proven their sender.",
            &["hook", "key"],
        );
        let refused = counter(
            &registry,
            "landfall_refused_total",
            "Requests that were not let in.",
            &["hook", "reason"],
        );
        let help = "Records of attempts in mode sync for which the ledger had no room.";
        let dropped = IntCounter::new("landfall_records_dropped_total", help)
            .expect("a constant name is valid");
        registry
            .register(Box::new(dropped.clone()))
            .expect("each name is registered once");
        let challenges = counter(
            &registry,
            "landfall_challenges_total",
            "Ownership checks answered.",
            &["hook"],
        );
        let help = "Answers whose status the provider punishes: another was sent.";
        let avoided = counter(
            &registry,
            "landfall_avoided_statuses_total",
            help,
            &["hook", "status"],
        );
        let help = "Attempts that have ended, by the word for how.";
        let attempts = counter(
            &registry,
            "landfall_attempts_total",
            help,
            &["hook", "outcome"],
        );
        let help = "Requests that were the same delivery as an earlier event: not run, or replayed \
                    because that one was dead.";
        let duplicates = counter(
            &registry,
            "landfall_duplicates_total",
            help,
            &["hook", "result"],
        );
        let help =
            "Events with the delivery identity of an earlier event and a different body; both ran.";
        let conflicts = counter(&registry, "landfall_conflicts_total", help, &["hook"]);
        let help = "Messages of the broker that were not run, because Landfall did not write them \
                    or they are damaged.";
        let messages = counter(
            &registry,
            "landfall_messages_refused_total",
            help,
            &["reason"],
        );
        Counters {
            registry,
            verified,
            refused,
            challenges,
            avoided,
            dropped,
            attempts,
            duplicates,
            conflicts,
            messages,
        }
    }

    pub(crate) fn verified(&self, hook: &str, key: &str) {
        self.verified.with_label_values(&[hook, key]).inc();
    }

    pub(crate) fn refused(&self, hook: &str, reason: &str) {
        self.refused.with_label_values(&[hook, reason]).inc();
    }

    pub(crate) fn challenge(&self, hook: &str) {
        self.challenges.with_label_values(&[hook]).inc();
    }

    /// Returns true for the first one of this hook and status.
    pub(crate) fn avoided(&self, hook: &str, status: u16) -> bool {
        let counter = self.avoided.with_label_values(&[hook, &status.to_string()]);
        counter.inc();
        counter.get() == 1
    }

    /// All counters in the text format of Prometheus, together with the totals that `dispatch`
    /// counts. `dropped` are records of attempts in mode `sync` that the ledger could not store.
    /// `messages` are messages of the broker that were not run.
    pub fn text(
        &self,
        dropped: u64,
        attempts: &[(Arc<str>, &'static str, u64)],
        repeats: &[(Arc<str>, RepeatCounts)],
        messages: &[(&'static str, u64)],
    ) -> String {
        self.dropped.reset();
        self.dropped.inc_by(dropped);
        for (hook, outcome, count) in attempts {
            raise(
                &self.attempts.with_label_values(&[&**hook, outcome]),
                *count,
            );
        }

        for (hook, counts) in repeats {
            raise(
                &self.duplicates.with_label_values(&[&**hook, "not-run"]),
                counts.duplicates,
            );
            raise(
                &self.duplicates.with_label_values(&[&**hook, "replayed"]),
                counts.replayed,
            );
            raise(
                &self.conflicts.with_label_values(&[&**hook]),
                counts.conflicts,
            );
        }

        for (reason, count) in messages {
            raise(&self.messages.with_label_values(&[reason]), *count);
        }

        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let counter =
        IntCounterVec::new(Opts::new(name, help), labels).expect("constant names are valid");
    registry
        .register(Box::new(counter.clone()))
        .expect("each name is registered once");
    counter
}

/// Raises a counter to a total that was counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
