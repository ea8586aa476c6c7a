//! Random input to a running node: request heads, queries of the admin API, and what handlers store. `tests/fuzz` has the parts of the
//! host that take input without a node. `LANDFALL_LONG=1`: many more of each.

mod heads;
mod queries;
mod stored;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// Sends bytes and ends this side. Returns the status of the first answer; none where the node closes the connection without one.
async fn send(address: SocketAddr, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The node may close the connection before it has read everything.
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.ok();
    let head = String::from_utf8_lossy(&received);
    head.get(9..12).and_then(|status| status.parse().ok())
}
