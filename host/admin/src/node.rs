//! The state of a running node, health probes and metrics.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use landfall_dispatch::Dispatcher;
use landfall_hooks::Hooks;
use landfall_ledger::History;
use landfall_model::{Clock, RefusalLog};
use landfall_watch::Alarm;

use super::candidate::SharedCandidates;
use super::guard::Guard;
use super::reconcile::SharedReconcile;
use super::samples::SharedSamples;
use super::shapes::SharedShapes;

/// Reads the metrics, in the text format of Prometheus.
pub type Scrape = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// The state of the admin API.
#[derive(Clone)]
pub struct Admin {
    /// The served hooks and their status.
    pub hooks: Hooks,
    /// The open alarms.
    pub alarms: Arc<dyn Fn() -> Vec<Alarm> + Send + Sync>,
    /// Why the node is not ready; `None` if it is.
    pub not_ready: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// The absolute path of the plugins directory.
    pub plugins: String,
    /// Number of running attempts.
    pub running: Arc<dyn Fn() -> usize + Send + Sync>,
    /// The metrics.
    pub metrics: Scrape,
    /// Starts to read the plugins directory and all secrets again.
    pub reload: Arc<dyn Fn() + Send + Sync>,
    /// The rejected requests.
    pub refusals: Arc<RefusalLog>,
    /// Checks every request except those for the probes.
    pub guard: Guard,
    /// The clock of the process.
    pub clock: Clock,
    /// The stored events.
    pub ledger: Arc<dyn History>,
    /// Pauses hooks, and is notified of replays.
    pub dispatcher: Arc<Dispatcher>,
    /// Searches for missed deliveries.
    pub reconcile: SharedReconcile,
    /// Shows and decides candidates.
    pub candidates: SharedCandidates,
    /// Sends signed samples.
    pub samples: SharedSamples,
    /// The learned shapes of events.
    pub shapes: SharedShapes,
}

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

pub(crate) async fn readyz(State(admin): State<Admin>) -> Response {
    match (admin.not_ready)() {
        None => "ready\n".into_response(),
        Some(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {why}\n"),
        )
            .into_response(),
    }
}

pub(crate) async fn metrics(State(admin): State<Admin>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        (admin.metrics)().await,
    )
        .into_response()
}
