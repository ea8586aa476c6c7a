//! Sends traces and metrics to an OpenTelemetry collector: OTLP over HTTP with protobuf.
//!
//! - `Tracer` is what the other crates have: it makes the ids of spans and takes the spans that
//!   have ended. If telemetry is off, it does nothing.
//! - `Exporter` is the task that sends them. Between the two is a queue with a limit: a slow
//!   collector costs spans, which are counted, and no request waits for it.
//! - `Span` is one span. Its attributes never contain bodies, headers, queries or paths of calls.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod collector;
mod convert;
mod exporter;
mod metrics;
mod otlp;
mod settings;
mod span;
mod tracer;

pub use exporter::{Exporter, MetricsReader};
pub use settings::TelemetrySettings;
pub use span::{Kind, OpenSpan, Span, Value};
pub use tracer::Tracer;

use std::sync::Arc;

use landfall_metrics::Metrics;
use landfall_model::{Clock, SecretSource};

/// The tracer, and the task that sends what it takes. Counts dropped spans in `metrics`.
pub fn start(
    settings: TelemetrySettings,
    secrets: Arc<dyn SecretSource>,
    metrics: Arc<Metrics>,
    clock: Clock,
) -> (Tracer, Exporter) {
    let (tracer, spans) = tracer::queue(settings.sample_ratio, metrics.clone());
    let exporter = Exporter::new(settings, secrets, metrics, clock, spans);
    (tracer, exporter)
}
