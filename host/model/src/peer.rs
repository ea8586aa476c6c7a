//! The other end of a connection.

use std::net::SocketAddr;

/// The address of the client, as an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);
