//! What telemetry is configured with.

use std::fmt;
use std::time::Duration;

use landfall_model::SecretRef;

/// What telemetry is configured with.
#[derive(Clone)]
pub struct TelemetrySettings {
    /// The collector, without a slash at the end: `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Headers of each request to the collector. Their values may be secrets.
    pub headers: Vec<(String, String)>,
    /// The value of the header `Authorization`. Read again for each request.
    pub authorization: Option<SecretRef>,
    /// The resource: names and values, `service.name` among them.
    pub resource: Vec<(String, String)>,
    /// The share of new traces that are recorded: 0 to 1. A caller's trace is recorded if the
    /// caller records it.
    pub sample_ratio: f64,
    /// How often metrics are sent. `None`: never.
    pub metrics_interval: Option<Duration>,
}

// === impl TelemetrySettings ===

impl fmt::Debug for TelemetrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetrySettings")
            .field("endpoint", &self.endpoint)
            .field("sample_ratio", &self.sample_ratio)
            .field("metrics_interval", &self.metrics_interval)
            .finish_non_exhaustive()
    }
}
