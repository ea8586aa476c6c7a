//! Verified requests of one hook, by the key that verified them.

use std::sync::OnceLock;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec};

/// A hook has one secret, and a second one during a rotation. Further keys are looked up by name.
const CELLS: usize = 4;

/// One counter for each key. The first keys that verify a request are found without a look-up.
pub(crate) struct KeyCounters {
    counters: IntCounterVec,
    cells: [OnceLock<(Box<str>, IntCounter)>; CELLS],
}

// === impl KeyCounters ===

impl KeyCounters {
    pub(crate) fn new(counters: IntCounterVec) -> KeyCounters {
        KeyCounters {
            counters,
            cells: Default::default(),
        }
    }

    pub(crate) fn inc(&self, key: &str) {
        for cell in &self.cells {
            let (name, counter) =
                cell.get_or_init(|| (key.into(), self.counters.with_label_values(&[key])));
            if **name == *key {
                counter.inc();
                return;
            }
        }

        self.counters.with_label_values(&[key]).inc();
    }

    pub(crate) fn collect(&self) -> Vec<MetricFamily> {
        self.counters.collect()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    #[test]
    fn every_key_has_its_count() {
        let counters = IntCounterVec::new(Opts::new("a_total", "A"), &["key"]).unwrap();
        let keys = KeyCounters::new(counters.clone());
        let names: Vec<String> = (1..=6)
            .map(|number| format!("signature#{number}"))
            .collect();
        for name in names.iter().chain(&names[3..]) {
            keys.inc(name);
        }

        let count = |name: &String| counters.with_label_values(&[name]).get();
        assert_eq!(
            names.iter().map(count).collect::<Vec<_>>(),
            [1, 1, 1, 2, 2, 2]
        );
        assert_eq!(keys.collect()[0].get_metric().len(), 6);
    }
}
