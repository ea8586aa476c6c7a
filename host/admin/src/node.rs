//! The node for the operator: health probes, hooks, metrics, the queue, and rejected requests.

use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use landfall_dispatch::Dispatcher;
use landfall_hooks::{HookStatus, Hooks};
use landfall_ledger::History;
use landfall_model::{Clock, RefusalLog};

use super::guard::Guard;

/// Reads the metrics, in the text format of Prometheus.
pub type Scrape = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// The state of the admin API.
#[derive(Clone)]
pub struct Admin {
    /// The served hooks and their status.
    pub hooks: Hooks,
    /// Why the node is not ready; `None` if it is.
    pub not_ready: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// The absolute path of the plugins directory.
    pub plugins: String,
    /// Number of running attempts.
    pub running: Arc<dyn Fn() -> usize + Send + Sync>,
    /// The metrics.
    pub metrics: Scrape,
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

pub(crate) async fn hooks(State(admin): State<Admin>) -> Response {
    let json: Vec<HookEntry> = admin
        .hooks
        .statuses()
        .into_iter()
        .map(|status| hook_entry(&admin, status))
        .collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(json)).into_response()
}

/// A hook, and whether its events are held back.
#[derive(Serialize)]
struct HookEntry {
    #[serde(flatten)]
    status: HookStatus,
    /// Paused by an operator.
    paused: bool,
    /// Its circuit breaker is open.
    failing: bool,
}

fn hook_entry(admin: &Admin, status: HookStatus) -> HookEntry {
    let waits = admin.dispatcher.hook_status(&status.name);
    HookEntry {
        status,
        paused: waits.is_paused,
        failing: waits.is_failing,
    }
}

pub(crate) async fn pause(
    State(admin): State<Admin>,
    Path((hook, word)): Path<(String, String)>,
) -> Response {
    let paused = match word.as_str() {
        "pause" => true,
        "resume" => false,
        _ => {
            return (
                StatusCode::NOT_FOUND,
                Json(json!({ "error": "pause or resume" })),
            )
                .into_response();
        }
    };

    let status = admin
        .hooks
        .statuses()
        .into_iter()
        .find(|status| status.name == hook);
    let Some(status) = status else {
        return (
            StatusCode::NOT_FOUND,
            Json(json!({ "error": "no hook has this name" })),
        )
            .into_response();
    };

    match admin.dispatcher.pause(&hook, paused).await {
        Ok(()) => {
            tracing::info!(hook, paused, "an operator paused or resumed a hook");
            Json(hook_entry(&admin, status)).into_response()
        }
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "error": error.to_string() })),
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

/// The plugins directory and the version.
pub(crate) async fn node(State(admin): State<Admin>) -> Response {
    let json = json!({ "plugins": admin.plugins, "version": env!("CARGO_PKG_VERSION") });
    ([(header::CACHE_CONTROL, "no-store")], Json(json)).into_response()
}

/// Whether events can be accepted now, and what the broker guarantees.
pub(crate) async fn queue(State(admin): State<Admin>) -> Response {
    let dispatcher = &admin.dispatcher;
    let facts = dispatcher.describe_broker().await;
    let (running, leased) = ((admin.running)(), dispatcher.leases());
    let json = json!({
        "accepts": dispatcher.can_accept(),
        "refusal": dispatcher.refusal(),
        "facts": facts,
        "running": running,
        "leased": leased,
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(json)).into_response()
}

pub(crate) async fn refusals(State(admin): State<Admin>) -> Response {
    (
        [(header::CACHE_CONTROL, "no-store")],
        Json(admin.refusals.last()),
    )
        .into_response()
}
