//! For the operator: health for probes, and how each hook stands. A listener of its own, loopback unless there is a token.

mod events;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::delivery::Delivery;
use crate::hooks::Hooks;
use crate::ledger::Ledger;
use crate::model::{RefusalLog, SecretRef, SecretSource};

/// What the pages are made from.
#[derive(Clone)]
pub struct Admin {
    /// How they stand.
    pub hooks: Hooks,
    /// Whether requests should come here.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Counters, in the text format of Prometheus.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who was not let in, and why.
    pub refusals: Arc<RefusalLog>,
    /// Needed for all but the probes, where set.
    pub token: Option<SecretRef>,
    /// Holds its value.
    pub secrets: Arc<dyn SecretSource>,
    /// What has happened.
    pub ledger: Arc<Ledger>,
    /// Told when there is something to do.
    pub delivery: Arc<Delivery>,
}

/// Every admin route.
pub fn router(admin: Admin) -> Router {
    let guarded = Router::new()
        .route("/api/hooks", get(hooks))
        .route("/api/refusals", get(refusals))
        .route("/metrics", get(metrics))
        .merge(events::router())
        .route_layer(middleware::from_fn_with_state(admin.clone(), require_token));
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).merge(guarded).with_state(admin)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match (admin.is_ready)() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

async fn hooks(State(admin): State<Admin>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(admin.hooks.statuses())).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (admin.metrics)()).into_response()
}

async fn refusals(State(admin): State<Admin>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(admin.refusals.last())).into_response()
}

async fn require_token(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let Some(reference) = &admin.token else { return next.run(request).await };
    let given =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    match (admin.secrets.value(reference), given) {
        (Ok(secret), Some(given)) if same(secret.expose(), given) => next.run(request).await,
        (Err(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "the admin token has no value\n").into_response(),
        _ => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "token missing or wrong\n")
            .into_response(),
    }
}

fn same(secret: &[u8], given: &[u8]) -> bool {
    Sha256::digest(secret).ct_eq(&Sha256::digest(given)).into()
}
