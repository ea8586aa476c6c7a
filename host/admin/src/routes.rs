//! Every route of the admin API.

use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tower::ServiceExt;

use super::events::{self, Events};
use super::node::{self, Admin};
use super::{guard, operator, search};

/// The routes of a running node. All but the probes need the admin token.
pub fn router(admin: Admin) -> Router {
    let events = Events {
        ledger: admin.ledger.clone(),
        clock: admin.clock,
        running: Some((admin.dispatcher.clone(), admin.hooks.clone())),
    };
    let guard = middleware::from_fn_with_state(admin.guard.clone(), guard::guard);

    let probes = Router::new()
        .route("/healthz", get(node::healthz))
        .route("/readyz", get(node::readyz))
        .with_state(admin.clone());
    let node = Router::new()
        .route("/api/hooks", get(node::hooks))
        .route("/api/hooks/{hook}/{word}", post(node::pause))
        .route("/api/node", get(node::node))
        .route("/api/queue", get(node::queue))
        .route("/api/refusals", get(node::refusals))
        .route("/metrics", get(node::metrics))
        .with_state(admin);
    let guarded = node.merge(event_routes(events)).route_layer(guard);
    probes.merge(guarded)
}

/// The routes that need only the ledger.
fn event_routes(events: Events) -> Router {
    Router::new()
        .route("/api/events", get(search::list))
        .route("/api/events/{id}", get(events::show))
        .route("/api/replay", post(operator::replay))
        .route("/api/discard", post(operator::discard))
        .route("/api/retry-now", post(operator::retry_now))
        .route("/api/purge", post(operator::purge))
        .route("/api/stats", get(events::stats))
        .route("/api/rows/{hook}/{table}", get(events::rows))
        .with_state(events)
}

/// Answers one request without a listener: status and body.
pub async fn answer_one(
    events: Events,
    path: &str,
    post: Option<String>,
) -> anyhow::Result<(u16, String)> {
    let method = if post.is_some() { "POST" } else { "GET" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(post.unwrap_or_default()))?;

    let response = event_routes(events).oneshot(request).await?;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
