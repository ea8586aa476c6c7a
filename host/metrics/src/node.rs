//! The metrics of a node and its hooks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use landfall_model::{NO_HOOK, lock};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use super::buckets;
use super::gauges::Gauges;
use super::hook::{HookMetrics, REFUSED};
use super::requests::{RequestCounters, RequestOutcome};
use super::snapshot::Family;

const VALID: &str = "constant names are valid, and registered once";

/// Everything that a node counts and measures since its start.
pub struct Metrics {
    registry: Registry,
    hooks: Hooks,
    /// By hook and reason, for names that are not hooks: `-`, `_admin`, `_queue`.
    refused: IntCounterVec,
    requests: Arc<RequestCounters>,
    records_dropped: IntCounter,
    spans_dropped: IntCounter,
    replies_dropped: IntCounterVec,
    connections_limited: IntCounterVec,
    messages: IntCounterVec,
    mcp_calls: IntCounterVec,
    compile_time: HistogramVec,
    component_snapshots: IntCounterVec,
    commit_time: Histogram,
}

/// The hooks with metrics. A hook holds its own.
type Hooks = Arc<Mutex<HashMap<Arc<str>, Weak<HookMetrics>>>>;

/// The metrics that have no fixed description, because hooks come and go.
struct Changing {
    hooks: Hooks,
    /// Requests whose path no hook has.
    requests: Arc<RequestCounters>,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let hooks = Hooks::default();
        let requests = Arc::new(RequestCounters::new(NO_HOOK));
        let changing = Changing {
            hooks: hooks.clone(),
            requests: requests.clone(),
        };
        registry.register(Box::new(changing)).expect(VALID);

        let refused = IntCounterVec::new(Opts::new(REFUSED.0, REFUSED.1), &["hook", "reason"]);
        let help = "Records of attempts in mode sync for which the ledger had no room.";
        let dropped = IntCounter::new("landfall_records_dropped_total", help);
        let help = "Spans that were not exported: too many waited, or the collector did not accept \
                    them.";
        let spans = IntCounter::new("landfall_telemetry_dropped_total", help);
        let help = "Replies that were not sent, or not completely: the client read too slowly, or \
                    replies that wait to be read use all memory for them.";
        let replies = Opts::new("landfall_replies_dropped_total", help);
        let help = "New connections that found the public listener at its limit, or that could not \
                    be accepted.";
        let connections = Opts::new("landfall_connections_limited_total", help);
        let help = "Messages of the broker that were not run, because Landfall did not write them \
                    or they are damaged.";
        let messages = Opts::new("landfall_messages_refused_total", help);
        let help = "Calls of tools of the MCP server on the admin listener.";
        let mcp_calls = Opts::new("landfall_mcp_calls_total", help);
        let help = "From the start of a compiler to machine code, or to the error.";
        let name = "landfall_component_compile_duration_seconds";
        let compile = HistogramOpts::new(name, help).buckets(buckets::COMPILE.to_vec());
        let help = "Compiled components that have an init: with a snapshot (taken), without one, so \
                    that init runs at the start of each event (impossible), or refused (failed).";
        let snapshots = Opts::new("landfall_component_snapshots_total", help);
        let help =
            "The commit of a transaction that is acknowledged after it: the write and the sync.";
        let name = "landfall_ledger_commit_duration_seconds";
        let commit = HistogramOpts::new(name, help).buckets(buckets::COMMIT.to_vec());

        Metrics {
            refused: registered(&registry, refused),
            records_dropped: registered(&registry, dropped),
            spans_dropped: registered(&registry, spans),
            replies_dropped: registered(&registry, IntCounterVec::new(replies, &["reason"])),
            connections_limited: registered(
                &registry,
                IntCounterVec::new(connections, &["result"]),
            ),
            messages: registered(&registry, IntCounterVec::new(messages, &["reason"])),
            mcp_calls: registered(
                &registry,
                IntCounterVec::new(mcp_calls, &["tool", "outcome"]),
            ),
            compile_time: registered(&registry, HistogramVec::new(compile, &["result"])),
            component_snapshots: registered(&registry, IntCounterVec::new(snapshots, &["result"])),
            commit_time: registered(&registry, Histogram::with_opts(commit)),
            registry,
            hooks,
            requests,
        }
    }

    /// The metrics of a hook: those of its other versions, if there are any.
    pub fn hook(&self, name: &Arc<str>) -> Arc<HookMetrics> {
        let mut hooks = lock(&self.hooks);
        if let Some(metrics) = hooks.get(name).and_then(Weak::upgrade) {
            return metrics;
        }

        let metrics = Arc::new(HookMetrics::new(name));
        hooks.insert(name.clone(), Arc::downgrade(&metrics));
        metrics
    }

    /// The metrics of a hook that is there.
    pub fn find(&self, name: &str) -> Option<Arc<HookMetrics>> {
        lock(&self.hooks).get(name).and_then(Weak::upgrade)
    }

    /// A request without a hook. `name`: `-`, or the part of the node that refused it.
    pub fn count_refused(&self, name: &'static str, reason: &'static str) {
        self.refused.with_label_values(&[name, reason]).inc();
    }

    /// The answer to a request without a hook.
    pub fn count_request(&self, outcome: RequestOutcome, status: u16) {
        self.requests.inc(outcome, Some(status));
    }

    /// The ledger had no room for the record of an attempt in mode `sync`.
    pub fn count_dropped_record(&self) {
        self.records_dropped.inc();
    }

    /// Spans that are not exported.
    pub fn count_dropped_spans(&self, count: u64) {
        self.spans_dropped.inc_by(count);
    }

    /// A reply that is not sent, or not completely.
    pub fn count_dropped_reply(&self, reason: &'static str) {
        self.replies_dropped.with_label_values(&[reason]).inc();
    }

    /// A new connection that found the public listener at its limit, or that was not accepted.
    pub fn count_limited_connection(&self, result: &'static str) {
        self.connections_limited.with_label_values(&[result]).inc();
    }

    /// A message of the broker that is not run.
    pub fn count_refused_message(&self, reason: &'static str) {
        self.messages.with_label_values(&[reason]).inc();
    }

    /// A call of a tool of the MCP server.
    pub fn count_mcp_call(&self, tool: &'static str, outcome: &'static str) {
        self.mcp_calls.with_label_values(&[tool, outcome]).inc();
    }

    /// The time of a compiler.
    pub fn measure_compile(&self, time: Duration, is_compiled: bool) {
        let result = if is_compiled { "compiled" } else { "failed" };
        let time = time.as_secs_f64();
        self.compile_time.with_label_values(&[result]).observe(time);
    }

    /// A component with an `init` that was compiled or refused.
    pub fn count_snapshot(&self, result: &'static str) {
        self.component_snapshots.with_label_values(&[result]).inc();
    }

    /// The time of a durable commit of the ledger.
    pub fn measure_commit(&self, time: Duration) {
        self.commit_time.observe(time.as_secs_f64());
    }

    /// Everything in the text format of Prometheus, sorted by name.
    pub fn text(&self, gauges: &Gauges) -> String {
        TextEncoder::new()
            .encode_to_string(&self.gather(gauges))
            .unwrap_or_default()
    }

    /// Everything as values, sorted by name.
    pub fn snapshot(&self, gauges: &Gauges) -> Vec<Family> {
        self.gather(gauges).iter().filter_map(Family::of).collect()
    }

    fn gather(&self, gauges: &Gauges) -> Vec<MetricFamily> {
        let mut families = self.registry.gather();
        families.extend(gauges.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect(VALID);
    registry.register(Box::new(metric.clone())).expect(VALID);
    metric
}

// === impl Changing ===

impl Collector for Changing {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut hooks = lock(&self.hooks);
        hooks.retain(|_, metrics| metrics.strong_count() > 0);
        let present: Vec<_> = hooks.values().filter_map(Weak::upgrade).collect();
        drop(hooks);

        let mut all = self.requests.collect();
        all.extend(present.iter().flat_map(|hook| hook.collect()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::PointValue;
    use super::*;

    fn text(metrics: &Metrics) -> String {
        metrics.text(&Gauges::new())
    }

    #[test]
    fn removed_hooks_have_no_series() {
        let metrics = Metrics::new();
        let (one, two) = (metrics.hook(&"one".into()), metrics.hook(&"two".into()));
        one.count_attempt("done");
        two.count_attempt("done");
        let new_version = metrics.hook(&"one".into());
        drop((one, two));

        let shown = text(&metrics);
        let counted = "landfall_attempts_total{hook=\"one\",outcome=\"done\"} 1\n";
        assert!(shown.contains(counted), "{shown}");
        assert!(!shown.contains("\"two\""), "{shown}");
        assert!(metrics.find("two").is_none());
        drop(new_version);
        assert!(!text(&metrics).contains("\"one\""));
    }

    #[test]
    fn names_that_are_no_hooks_count() {
        let metrics = Metrics::new();
        let hook = metrics.hook(&"one".into());
        hook.count_refused("busy");
        metrics.count_refused("_admin", "admin_token_wrong");
        metrics.count_request(RequestOutcome::Refused, 404);

        let shown = text(&metrics);
        for line in [
            "landfall_refused_total{hook=\"_admin\",reason=\"admin_token_wrong\"} 1\n",
            "landfall_refused_total{hook=\"one\",reason=\"busy\"} 1\n",
            "landfall_requests_total{hook=\"-\",outcome=\"refused\",status_class=\"4xx\"} 1\n",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        assert_eq!(shown.matches("# TYPE landfall_refused_total").count(), 1);
    }

    #[test]
    fn dropped_requests_have_hung_up() {
        let metrics = Metrics::new();
        let hook = metrics.hook(&"one".into());
        hook.start_request()
            .answered(RequestOutcome::Replied, 200, Duration::ZERO);
        drop(hook.start_request());
        let _running = hook.start_request();

        let shown = text(&metrics);
        for line in [
            "landfall_requests_total{hook=\"one\",outcome=\"hung-up\",status_class=\"none\"} 1\n",
            "landfall_requests_total{hook=\"one\",outcome=\"replied\",status_class=\"2xx\"} 1\n",
            "landfall_requests_in_flight{hook=\"one\"} 1\n",
            "landfall_request_duration_seconds_count{hook=\"one\"} 1\n",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
    }
    #[test]
    fn every_kind_has_its_value() {
        let (metrics, gauges) = (Metrics::new(), Gauges::new());
        metrics.count_dropped_spans(3);
        metrics.measure_commit(Duration::from_secs(3600));
        gauges.set("landfall_accepts_events", "Help.", 1.0);

        let families = metrics.snapshot(&gauges);
        let find = |name: &str| families.iter().find(|family| family.name == name).unwrap();
        let dropped = find("landfall_telemetry_dropped_total");
        assert_eq!(dropped.points[0].value, PointValue::Counter(3.0));
        let accepts = find("landfall_accepts_events");
        assert_eq!(accepts.points[0].value, PointValue::Gauge(1.0));

        let commits = find("landfall_ledger_commit_duration_seconds");
        let PointValue::Histogram {
            count,
            sum,
            buckets,
        } = &commits.points[0].value
        else {
            panic!("{commits:?}");
        };
        assert_eq!((*count, *sum), (1, 3600.0));
        assert!(buckets.iter().all(|(bound, _)| bound.is_finite()));
        assert_eq!(buckets.last().map(|(_, count)| *count), Some(0));
    }
}
