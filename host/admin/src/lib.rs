//! For the operator: health for probes, and how each hook stands. A listener of its own; everything but the probes needs the
//! admin token.
#![deny(unsafe_code)]

pub mod events;
pub mod guard;
mod operator;
mod search;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use landfall_dispatch::Delivery;
use landfall_hooks::{HookStatus, Hooks};
use landfall_ledger::History;
use landfall_model::RefusalLog;

/// What the pages are made from.
#[derive(Clone)]
pub struct Admin {
    /// How they stand.
    pub hooks: Hooks,
    /// Why the node is not ready; `None` if it is.
    pub not_ready: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// The absolute path of the plugins directory.
    pub plugins: String,
    /// Number of running attempts.
    pub running: Arc<dyn Fn() -> usize + Send + Sync>,
    /// Counters, in the text format of Prometheus.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who was not let in, and why.
    pub refusals: Arc<RefusalLog>,
    /// Checks every request except those for the probes.
    pub guard: guard::Guard,
    /// What has happened.
    pub ledger: Arc<dyn History>,
    /// Told when there is something to do.
    pub delivery: Arc<Delivery>,
}

/// Every admin route.
pub fn router(admin: Admin) -> Router {
    let running = Some((admin.delivery.clone(), admin.hooks.clone()));
    let events = events::Events {
        ledger: admin.ledger.clone(),
        running,
    };
    let guarded = Router::new()
        .route("/api/hooks", get(hooks))
        .route("/api/node", get(node))
        .route("/api/queue", get(queue))
        .route("/api/refusals", get(refusals))
        .route("/metrics", get(metrics))
        .route("/api/hooks/{hook}/{word}", post(pause))
        .with_state(admin.clone())
        .merge(events::router(events))
        .route_layer(middleware::from_fn_with_state(
            admin.guard.clone(),
            guard::guard,
        ));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(admin)
        .merge(guarded)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match (admin.not_ready)() {
        None => "ready\n".into_response(),
        Some(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {why}\n"),
        )
            .into_response(),
    }
}

async fn hooks(State(admin): State<Admin>) -> Response {
    let shown: Vec<Shown> = admin
        .hooks
        .statuses()
        .into_iter()
        .map(|status| shown(&admin, status))
        .collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(shown)).into_response()
}

/// A hook, and whether its events wait.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    status: HookStatus,
    /// At the operator's word.
    paused: bool,
    /// Because it fails every time.
    failing: bool,
}

fn shown(admin: &Admin, status: HookStatus) -> Shown {
    let (paused, failing) = admin.delivery.waits(&status.name);
    Shown {
        status,
        paused,
        failing,
    }
}

async fn pause(State(admin): State<Admin>, Path((hook, word)): Path<(String, String)>) -> Response {
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
    match admin.delivery.pause(&hook, paused).await {
        Ok(()) => {
            tracing::info!(
                hook,
                paused,
                "the events of a hook wait, or wait no longer, at the operator's word"
            );
            Json(shown(&admin, status)).into_response()
        }
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "error": error.to_string() })),
        )
            .into_response(),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        (admin.metrics)(),
    )
        .into_response()
}

/// What it serves.
async fn node(State(admin): State<Admin>) -> Response {
    let shown = json!({ "plugins": admin.plugins, "version": env!("CARGO_PKG_VERSION") });
    ([(header::CACHE_CONTROL, "no-store")], Json(shown)).into_response()
}

/// Whether events can be accepted now, and what a broker promises where events wait in one.
async fn queue(State(admin): State<Admin>) -> Response {
    let queue = admin.delivery.queue();
    let facts = match queue.broker() {
        Some(broker) => broker.facts().await,
        None => Vec::new(),
    };
    let (running, leased) = ((admin.running)(), queue.leases());
    let shown = json!({ "accepts": queue.can_accept(), "facts": facts, "running": running, "leased": leased });
    ([(header::CACHE_CONTROL, "no-store")], Json(shown)).into_response()
}

async fn refusals(State(admin): State<Admin>) -> Response {
    (
        [(header::CACHE_CONTROL, "no-store")],
        Json(admin.refusals.last()),
    )
        .into_response()
}
