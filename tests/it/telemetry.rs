//! Traces and metrics at a collector, and the log lines of requests. The collector is a server of
//! the test. What it receives is read by the field numbers of OTLP, without the code that wrote it.

mod collector;
mod lines;
mod metrics;
mod outage;
mod secrets;
mod traces;
mod wire;

use landfall_tests::Setup;

use self::collector::Collector;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The header of a caller that records its trace.
fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// A node that sends traces to this collector, and no metrics.
fn sends_to(collector: &Collector, setup: Setup) -> Setup {
    setup
        .env("LANDFALL_TELEMETRY_OTLP_ENDPOINT", &collector.url())
        .env("LANDFALL_TELEMETRY_METRICS_INTERVAL", "0s")
}
