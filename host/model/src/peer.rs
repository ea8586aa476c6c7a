//! The other end of a connection.

use std::net::SocketAddr;

/// Its address, as an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);
