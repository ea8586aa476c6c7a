//! Every route of the admin listener. `api::operations` lists those of `/api/v1`.

use axum::body::Body;
use axum::handler::Handler;
use axum::http::{Request, header};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use tower::ServiceExt;

use super::api::command::Frame;
use super::api::description;
use super::api::document::Document;
use super::api::error::unknown_method;
use super::api::operations;
use super::api::state::ApiState;
use super::api::tail::Tail;
use super::api::unknown::{self, unknown_routes};
use super::authenticate::authenticate;
use super::events::Events;
use super::node::{self, Admin};
use super::role::Caller;

/// The routes of a running node. All but the probes need a token.
pub fn router(admin: Admin) -> Router {
    let state = state(admin.clone());
    let frame = Frame::new(state.events.clone(), Some(admin.guard.clone()));
    let entrance = (admin.guard.clone(), frame.clone());
    let authenticated = middleware::from_fn_with_state(entrance, authenticate);
    let recorded = middleware::from_fn_with_state(frame.clone(), unknown::record);

    let node: Router = operations::node_routes(&frame).with_state(state.clone());
    let ledger: Router = operations::ledger_routes(&frame).with_state(state.events);
    let metrics: Router = Router::new()
        .route("/metrics", get(node::metrics))
        .with_state(admin.clone());
    let api = node
        .merge(ledger)
        .merge(metrics)
        .merge(unknown_routes::<()>(&frame))
        .route_layer(authenticated.clone())
        .method_not_allowed_fallback(unknown_method.layer(recorded).layer(authenticated));

    Router::new()
        .route("/healthz", get(node::healthz))
        .route("/readyz", get(node::readyz))
        .method_not_allowed_fallback(unknown_method)
        .with_state(admin)
        .merge(api)
}

/// Routes of the same listener that other crates serve. Only requests with a token of this node
/// come to them, with a `Caller` among their extensions.
pub fn guarded(admin: &Admin, routes: Router) -> Router {
    let frame = Frame::new(events(admin), Some(admin.guard.clone()));
    let entrance = (admin.guard.clone(), frame);
    routes.route_layer(middleware::from_fn_with_state(entrance, authenticate))
}

/// What the operations on stored events need.
fn events(admin: &Admin) -> Events {
    Events {
        ledger: admin.ledger.clone(),
        clock: admin.clock,
        running: Some((admin.dispatcher.clone(), admin.hooks.clone())),
    }
}

/// What the operations of a running node need.
pub(crate) fn state(admin: Admin) -> ApiState {
    let events = events(&admin);
    ApiState {
        tail: Tail::new(events.clone()),
        document: Document(description::document().to_string().into()),
        admin,
        events,
    }
}

/// Answers one request from the ledger of a stopped node, without a listener: status and body.
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

    let frame = Frame::new(events.clone(), None);
    let router: Router = operations::ledger_routes(&frame)
        .merge(unknown_routes(&frame))
        .layer(Extension(Caller::local()))
        .with_state(events);
    let response = router.oneshot(request).await?;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
