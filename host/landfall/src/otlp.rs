//! Telemetry of a node: the tracer that its parts have, and the task that sends traces and metrics.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use landfall_config::Config;
use landfall_metrics::Metrics;
use landfall_model::Clock;
use landfall_secrets::Secrets;
use landfall_telemetry::{Exporter, MetricsReader, TelemetrySettings, Tracer};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::metrics::Scraper;

/// A stop does not wait longer for the collector.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(400);

/// Telemetry that runs. Spans are sent until `flush`.
pub(crate) struct RunningTelemetry {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// The tracer, and the exporter if telemetry is configured.
pub(crate) async fn telemetry(
    config: &Config,
    secrets: &Arc<Secrets>,
    metrics: &Arc<Metrics>,
) -> (Tracer, Option<Exporter>) {
    let Some(spec) = config.telemetry.clone() else {
        return (Tracer::off(), None);
    };

    let own = spec.authorization.as_slice();
    secrets.track_own(own).await;
    let settings = TelemetrySettings {
        endpoint: spec.endpoint,
        headers: spec.headers,
        authorization: spec.authorization,
        resource: with_version(spec.resource),
        sample_ratio: spec.sample_ratio,
        metrics_interval: spec.metrics_interval,
    };
    let (tracer, exporter) =
        landfall_telemetry::start(settings, secrets.clone(), metrics.clone(), Clock::System);
    (tracer, Some(exporter))
}

/// The resource, with the version of this node unless the operator names another.
fn with_version(mut resource: Vec<(String, String)>) -> Vec<(String, String)> {
    let name = "service.version";
    if resource.iter().all(|(key, _)| key != name) {
        resource.push((name.to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    }
    resource
}

// === impl RunningTelemetry ===

impl RunningTelemetry {
    /// Starts the task, if there is one. `started`: the start of the node.
    pub(crate) fn start(
        exporter: Option<Exporter>,
        scraper: Scraper,
        started: SystemTime,
    ) -> RunningTelemetry {
        let stop = watch::Sender::new(false);
        let scraper = Arc::new(scraper);
        let read: MetricsReader = Arc::new(move || {
            let scraper = scraper.clone();
            Box::pin(async move { scraper.snapshot().await })
        });

        let stopped = stop.subscribe();
        let task = exporter.map(|exporter| tokio::spawn(exporter.run(started, read, stopped)));
        RunningTelemetry { stop, task }
    }

    /// Sends what waits. Returns when it is sent, or after a limit.
    pub(crate) async fn flush(self) {
        self.stop.send_replace(true);
        let Some(task) = self.task else {
            return;
        };
        if tokio::time::timeout(FLUSH_TIMEOUT, task).await.is_err() {
            tracing::warn!("the collector does not answer: the last spans are not sent");
        }
    }
}
