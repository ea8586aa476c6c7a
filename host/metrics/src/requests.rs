//! How requests end, by outcome and by the class of the status.

use std::sync::OnceLock;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec};

use super::series::OfHook;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The caller received the handler's reply.
    Replied,
    /// The event is stored, and runs later.
    Accepted,
    /// The handler rejected the event, and returned no reply.
    Rejected,
    /// The attempt failed in mode `sync`.
    Failed,
    /// An ownership check was answered.
    Challenge,
    /// The request was refused.
    Refused,
    /// `OPTIONS` or `HEAD`: nothing was refused, and there is no event.
    Other,
    /// The caller closed the connection before the answer.
    HungUp,
}

const OUTCOMES: [&str; 8] = [
    "replied",
    "accepted",
    "rejected",
    "failed",
    "challenge",
    "refused",
    "other",
    "hung-up",
];
/// The outcomes that an operator wants to look at.
const FAILED: [&str; 4] = ["rejected", "failed", "refused", "hung-up"];

// === impl RequestOutcome ===

impl RequestOutcome {
    /// The value of the label `outcome`.
    pub fn word(self) -> &'static str {
        OUTCOMES[self as usize]
    }
}

/// The classes of statuses, and what stands for an answer that was not sent or received.
pub(crate) const CLASSES: [&str; 6] = ["2xx", "3xx", "4xx", "5xx", "other", "none"];
const NO_STATUS: usize = 5;

/// The place in `CLASSES`.
pub(crate) fn class(status: Option<u16>) -> usize {
    match status {
        None => NO_STATUS,
        Some(200..300) => 0,
        Some(300..400) => 1,
        Some(400..500) => 2,
        Some(500..600) => 3,
        Some(_) => 4,
    }
}

/// The requests of one hook.
pub(crate) struct RequestCounters {
    counters: IntCounterVec,
    cells: [[OnceLock<IntCounter>; CLASSES.len()]; OUTCOMES.len()],
}

// === impl RequestCounters ===

impl RequestCounters {
    pub(crate) fn new(hook: &str) -> RequestCounters {
        let help = "Requests, by how they ended and the class of the status.";
        let labels = ["outcome", "status_class"];
        RequestCounters {
            counters: OfHook(hook).counters("landfall_requests_total", help, &labels),
            cells: Default::default(),
        }
    }

    pub(crate) fn inc(&self, outcome: RequestOutcome, status: Option<u16>) {
        let (outcome, class) = (outcome as usize, class(status));
        self.cells[outcome][class]
            .get_or_init(|| {
                let values = [OUTCOMES[outcome], CLASSES[class]];
                self.counters.with_label_values(&values)
            })
            .inc();
    }

    /// All requests, and those that failed or were refused.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let (mut all, mut failed) = (0, 0);
        for (outcome, cells) in self.cells.iter().enumerate() {
            for (class, cell) in cells.iter().enumerate() {
                let count = cell.get().map_or(0, IntCounter::get);
                all += count;
                if FAILED.contains(&OUTCOMES[outcome]) || CLASSES[class] == "5xx" {
                    failed += count;
                }
            }
        }

        (all, failed)
    }

    pub(crate) fn collect(&self) -> Vec<MetricFamily> {
        self.counters.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_a_class() {
        for (status, word) in [
            (Some(200), "2xx"),
            (Some(299), "2xx"),
            (Some(302), "3xx"),
            (Some(404), "4xx"),
            (Some(503), "5xx"),
            (Some(101), "other"),
            (Some(999), "other"),
            (None, "none"),
        ] {
            assert_eq!(CLASSES[class(status)], word, "{status:?}");
        }
    }

    #[test]
    fn outcomes_have_their_word() {
        let counters = RequestCounters::new("h");
        counters.inc(RequestOutcome::Replied, Some(200));
        counters.inc(RequestOutcome::HungUp, None);
        let hung_up = counters.counters.with_label_values(&["hung-up", "none"]);
        assert_eq!(hung_up.get(), 1);
        assert_eq!(counters.collect()[0].get_metric().len(), 2);
        counters.inc(RequestOutcome::Accepted, Some(503));
        assert_eq!(counters.totals(), (3, 2));
    }
}
