//! Counters of one label whose values are a fixed list of words.

use std::sync::OnceLock;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec};

/// What a word counts as that is not in the list.
const OTHER: &str = "other";

/// One counter for each word. A series exists from its first event on, so that a hook has only the
/// series that it needs.
pub(crate) struct WordCounters {
    counters: IntCounterVec,
    words: &'static [&'static str],
    cells: Box<[OnceLock<IntCounter>]>,
}

// === impl WordCounters ===

impl WordCounters {
    pub(crate) fn new(counters: IntCounterVec, words: &'static [&'static str]) -> WordCounters {
        let cells = words.iter().map(|_| OnceLock::new()).collect();
        WordCounters {
            counters,
            words,
            cells,
        }
    }

    pub(crate) fn inc(&self, word: &str) {
        match self.words.iter().position(|known| *known == word) {
            Some(at) => self.cells[at]
                .get_or_init(|| self.counters.with_label_values(&[word]))
                .inc(),
            None => self.counters.with_label_values(&[OTHER]).inc(),
        }
    }

    /// The sum over the words of the list.
    pub(crate) fn total(&self) -> u64 {
        let cells = self.cells.iter();
        cells
            .map(|cell| cell.get().map_or(0, IntCounter::get))
            .sum()
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
    fn unknown_words_count_as_other() {
        let counters = IntCounterVec::new(Opts::new("a_total", "A"), &["word"]).unwrap();
        let words = WordCounters::new(counters.clone(), &["one", "two"]);
        for word in ["one", "one", "unknown", "another"] {
            words.inc(word);
        }
        assert_eq!(counters.with_label_values(&["one"]).get(), 2);
        assert_eq!(counters.with_label_values(&["other"]).get(), 2);
        assert_eq!(words.collect()[0].get_metric().len(), 2);
    }
}
