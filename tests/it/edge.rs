//! The public listener: methods, sizes, odd heads, slow and silent callers, more connections and requests than
//! there is room for, a stop.

mod connections;
mod overload;
mod requests;
mod responses;
mod slow;
mod stop;
mod table;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use landfall_tests::{Node, Setup, guest};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

async fn node(hook_file: &str) -> Node {
    Setup::new()
        .hook("hook", &guest("answers_one"), &format!("{hook_file}{OPEN}"))
        .serving("hook")
        .await
}

/// Sends raw bytes, reads what comes until the other side closes or `wait` is over.
fn raw(node: &Node, bytes: &[u8], wait: Duration) -> String {
    let mut stream = TcpStream::connect(node.public).unwrap();
    stream.set_read_timeout(Some(wait)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("closed")
}

/// Whether nothing came before the read timeout, and the connection stays open.
fn is_timeout<T>(read: &std::io::Result<T>) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    read.as_ref()
        .is_err_and(|error| matches!(error.kind(), TimedOut | WouldBlock))
}

/// Waits until the node closes an idle connection; false if it stays open.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let read = stream.read(&mut [0; 16]);
    !is_timeout(&read) && read.unwrap_or(0) == 0
}
