//! Values that are read at the time of a scrape. They are set anew each time, so that nothing of a
//! removed hook is left.

use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntCounter, Opts, Registry};

const VALID: &str = "constant names are valid, and set once";

/// The values of one scrape.
#[derive(Default)]
pub struct Gauges {
    registry: Registry,
}

// === impl Gauges ===

impl Gauges {
    /// No values.
    pub fn new() -> Gauges {
        Gauges::default()
    }

    /// A value without labels.
    pub fn set(&self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::new(name, help).expect(VALID);
        gauge.set(value);
        self.registry.register(Box::new(gauge)).expect(VALID);
    }

    /// A value for each combination of labels. Nothing, if there is none.
    pub fn set_all<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([String; N], f64)>,
    ) {
        let gauges = GaugeVec::new(Opts::new(name, help), &labels).expect(VALID);
        for (labels, value) in values {
            gauges.with_label_values(&labels).set(value);
        }
        self.registry.register(Box::new(gauges)).expect(VALID);
    }

    /// A counter that is counted elsewhere.
    pub fn count(&self, name: &str, help: &str, total: u64) {
        let counter = IntCounter::new(name, help).expect(VALID);
        counter.inc_by(total);
        self.registry.register(Box::new(counter)).expect(VALID);
    }

    /// A counter of seconds that is counted elsewhere.
    pub(crate) fn count_seconds(&self, name: &str, help: &str, total: f64) {
        let counter = prometheus::Counter::new(name, help).expect(VALID);
        counter.inc_by(total);
        self.registry.register(Box::new(counter)).expect(VALID);
    }

    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
