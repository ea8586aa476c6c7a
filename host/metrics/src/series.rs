//! Makes the metrics of one hook: each series has the name of the hook as a label.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
};

use super::sharded_histogram::ShardedHistogram;

const VALID: &str = "constant names are valid";

/// Makes metrics whose series have the label `hook`.
#[derive(Clone, Copy)]
pub(crate) struct OfHook<'a>(pub(crate) &'a str);

// === impl OfHook ===

impl OfHook<'_> {
    pub(crate) fn counter(self, name: &str, help: &str) -> IntCounter {
        IntCounter::with_opts(self.opts(name, help)).expect(VALID)
    }

    pub(crate) fn counters(self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        IntCounterVec::new(self.opts(name, help), labels).expect(VALID)
    }

    pub(crate) fn gauge(self, name: &str, help: &str) -> IntGauge {
        IntGauge::with_opts(self.opts(name, help)).expect(VALID)
    }

    pub(crate) fn histogram(
        self,
        name: &str,
        help: &str,
        buckets: &'static [f64],
    ) -> ShardedHistogram {
        let opts = self.histogram_opts(name, help, buckets);
        ShardedHistogram::new(Histogram::with_opts(opts).expect(VALID), buckets)
    }

    pub(crate) fn histograms(
        self,
        name: &str,
        help: &str,
        buckets: &[f64],
        label: &str,
    ) -> HistogramVec {
        HistogramVec::new(self.histogram_opts(name, help, buckets), &[label]).expect(VALID)
    }

    fn opts(self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_label("hook", self.0)
    }

    fn histogram_opts(self, name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
        HistogramOpts::new(name, help)
            .const_label("hook", self.0)
            .buckets(buckets.to_vec())
    }
}
