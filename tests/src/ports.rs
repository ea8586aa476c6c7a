//! Ports for everything that listens in tests. Each is given once in a run: a server that has ended
//! may still be called, by a node that tries again or by an emulator that pushes, and such a call
//! must not reach the server of another test. The kernel gives a port again at once.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::{TcpListener, TcpSocket};

/// Below the ports of outgoing connections (32768 and more on Linux), and above 10080, which
/// browsers refuse to call.
const FIRST: u32 = 11_000;
/// Several times what a run of all tests needs. After so many, the first ones are given again.
const COUNT: u32 = 21_000;
/// That of `tokio::net::TcpListener::bind`.
const BACKLOG: u32 = 1024;

/// A port of 127.0.0.1 without a listener, which nothing else in this run is given: for a child
/// process, or for an address where nothing listens.
pub fn free_port() -> u16 {
    let socket = first_free(bound);
    socket.local_addr().expect("it is bound").port()
}

/// A server's listener on 127.0.0.1, for the runtime that this is called in.
pub fn listener() -> TcpListener {
    first_free(|address| bound(address)?.listen(BACKLOG))
}

/// The same without a runtime.
pub fn blocking_listener() -> std::net::TcpListener {
    first_free(std::net::TcpListener::bind)
}

/// What `listen` makes of the first address that it does not find in use.
fn first_free<T>(listen: impl Fn(SocketAddr) -> Result<T, Error>) -> T {
    for _ in 0..COUNT {
        let address = next();
        match listen(address) {
            Ok(made) => return made,
            // Another program has it.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => panic!("{address}: {error}"),
        }
    }
    panic!("all ports from {FIRST} to {} are in use", FIRST + COUNT - 1);
}

/// The next address in turn. Runs side by side begin apart.
fn next() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(2_654_435_761) % COUNT;
    let given = GIVEN.fetch_add(1, Ordering::Relaxed) % COUNT;
    let port = u16::try_from(FIRST + (start + given) % COUNT).expect("a port");
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A socket that does not listen yet. Unlike one that listens, it keeps no other process from
/// listening there, even if a child that is being started holds a copy of it for a moment.
fn bound(address: SocketAddr) -> Result<TcpSocket, Error> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FIRST, blocking_listener, free_port, listener};

    #[test]
    fn ports_are_given_once() {
        let ports: BTreeSet<u16> = (0..100).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 100);
        assert!(ports.iter().all(|port| u32::from(*port) >= FIRST));
    }

    #[tokio::test]
    async fn ended_servers_keep_their_port() {
        let ended = listener().local_addr().unwrap();
        let next = [
            listener().local_addr().unwrap(),
            blocking_listener().local_addr().unwrap(),
        ];
        assert!(!next.contains(&ended));
    }
}
