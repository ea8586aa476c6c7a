//! The node itself, and whether events can be stored.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::answered;
use crate::node::Admin;
use crate::role::Caller;

/// The node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeInfo {
    /// The absolute path of the plugins directory.
    plugins: String,
    /// The version of Landfall.
    version: &'static str,
    /// What the token of this request allows: `operate` or `read`.
    role: Option<&'static str>,
}

/// Whether events can be stored now, and what runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueStatus {
    /// Events can be stored now.
    accepts: bool,
    /// Why the ledger accepts none.
    refusal: Option<String>,
    /// What the broker promises, one sentence each.
    facts: Vec<String>,
    /// Attempts that run on this node.
    running: usize,
    /// Deliveries with a lease of this node.
    leased: usize,
}

/// The plugins directory, the version, and the role of the token.
#[utoipa::path(
    get,
    path = "/api/v1/node",
    operation_id = "show_node",
    tag = "node",
    responses((status = 200, body = NodeInfo))
)]
pub(crate) async fn node(
    State(admin): State<Admin>,
    caller: Option<Extension<Caller>>,
) -> Response {
    answered(Ok(NodeInfo {
        plugins: admin.plugins,
        version: env!("CARGO_PKG_VERSION"),
        role: caller.map(|Extension(caller)| caller.role),
    }))
}

/// Whether events can be accepted now, and what the broker guarantees.
#[utoipa::path(
    get,
    path = "/api/v1/queue",
    operation_id = "show_queue",
    tag = "node",
    responses((status = 200, body = QueueStatus))
)]
pub(crate) async fn queue(State(admin): State<Admin>) -> Response {
    let dispatcher = &admin.dispatcher;
    let facts = dispatcher.describe_broker().await;
    answered(Ok(QueueStatus {
        accepts: dispatcher.can_accept(),
        refusal: dispatcher.refusal(),
        facts,
        running: (admin.running)(),
        leased: dispatcher.leases(),
    }))
}
