//! The MCP server of the admin listener.

use std::sync::Arc;

use axum::Router;
use landfall_admin::{Admin, guarded};
use landfall_mcp::{OfNode, Server, http_service};
use landfall_metrics::Metrics;

/// `/mcp`, for requests with a token of this node.
pub(crate) fn routes(admin: &Admin, metrics: Arc<Metrics>) -> Router {
    let server = Server::new(Arc::new(OfNode::new(admin)));
    let server = server.counted(Arc::new(move |tool, outcome| {
        metrics.count_mcp_call(tool, outcome.word());
    }));
    guarded(
        admin,
        Router::new().route_service("/mcp", http_service(server)),
    )
}
