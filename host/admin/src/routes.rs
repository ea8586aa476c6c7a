//! Every route of the admin listener. `api::operations` lists those of `/api/v1`.

use axum::body::Body;
use axum::handler::Handler;
use axum::http::{Request, header};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use tower::ServiceExt;

use super::api::document::Document;
use super::api::error::unknown_method;
use super::api::state::ApiState;
use super::api::tail::Tail;
use super::api::{description, operations};
use super::events::Events;
use super::guard;
use super::node::{self, Admin};
use super::role::{Caller, Role};

/// The routes of a running node. All but the probes need a token.
pub fn router(admin: Admin) -> Router {
    let state = state(admin.clone());
    let guarded = |role| middleware::from_fn_with_state((admin.guard.clone(), role), guard::guard);

    let mut api: Router = Router::new();
    for role in Role::ALL {
        let node: Router = operations::node_routes(role).with_state(state.clone());
        let ledger: Router = operations::ledger_routes(role).with_state(state.events.clone());
        let mut routes = node.merge(ledger);
        if role == Role::Read {
            let metrics: Router = Router::new()
                .route("/metrics", get(node::metrics))
                .with_state(admin.clone());
            routes = routes
                .merge(metrics)
                .merge(operations::unknown_routes::<()>());
        }
        api = api.merge(routes.route_layer(guarded(role)));
    }

    // A path may have methods of both roles, so this is one handler for all of them.
    let unknown_method = unknown_method.layer(guarded(Role::Read));
    Router::new()
        .route("/healthz", get(node::healthz))
        .route("/readyz", get(node::readyz))
        .with_state(admin.clone())
        .merge(api.method_not_allowed_fallback(unknown_method))
}

/// What the operations of a running node need.
pub(crate) fn state(admin: Admin) -> ApiState {
    let events = Events {
        ledger: admin.ledger.clone(),
        clock: admin.clock,
        running: Some((admin.dispatcher.clone(), admin.hooks.clone())),
    };
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

    let mut router = operations::unknown_routes::<Events>();
    for role in Role::ALL {
        router = router.merge(operations::ledger_routes(role));
    }
    let router: Router = router.layer(Extension(Caller::local())).with_state(events);
    let response = router.oneshot(request).await?;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
