//! MCP over HTTP, without sessions: each request is answered by itself, so that nothing of a client
//! is kept between two of them.

use std::sync::Arc;

use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use crate::server::Server;

/// The most bytes of a request.
const BODY_MAX: usize = 1 << 20;

/// Answers POSTs of the streamable HTTP transport. The guard of the admin listener has checked
/// host, origin and token of a request, and a `Caller` is among its extensions.
pub fn http_service(server: Server) -> StreamableHttpService<Server, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_MAX)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let sessions = Arc::new(NeverSessionManager::default());
    StreamableHttpService::new(move || Ok(server.clone()), sessions, config)
}
