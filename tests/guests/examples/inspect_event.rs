//! Answers with the event, the settings and what WASI shows of the host.

use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Json, Payload, handler, json, settings};
use std::collections::BTreeMap;
use std::env;
use std::net::{TcpStream, UdpSocket};
use std::time::SystemTime;

#[handler]
fn on_event(event: Event) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({
        "event": fields(&event),
        "settings": settings::all::<Value>()?,
        "env": env::vars().collect::<BTreeMap<_, _>>(),
        "args": env::args().collect::<Vec<_>>(),
        "files": files(),
        "network": network(),
        "clock_works": SystemTime::now() > SystemTime::UNIX_EPOCH,
    })))
}

fn fields(event: &Event) -> Value {
    json!({
        "id": event.id,
        "hook": event.hook,
        "attempt": event.attempt,
        "received_at": event.received_at,
        "provider": event.provider,
        "event_type": event.event_type,
        "delivery_id": event.delivery_id,
        "method": event.method,
        "path": event.path,
        "query": event.query,
        "headers": event.headers,
        "attributes": event.attributes,
        "body": match &event.body {
            Payload::Text(text) => json!({ "text": text }),
            Payload::Binary(bytes) => json!({ "binary": bytes }),
        },
    })
}

/// What each attempt to touch a file said; "read" or "written" would be a hole in the sandbox.
fn files() -> Value {
    json!({
        "/": said(std::fs::read_dir("/"), "read"),
        ".": said(std::fs::read_dir("."), "read"),
        "/etc/passwd": said(std::fs::read("/etc/passwd"), "read"),
        "/tmp/landfall-guest": said(std::fs::write("/tmp/landfall-guest", "x"), "written"),
    })
}

fn network() -> Value {
    json!({
        "tcp": said(TcpStream::connect("127.0.0.1:80"), "connected"),
        "udp": said(UdpSocket::bind("127.0.0.1:0"), "bound"),
    })
}

fn said<T>(result: std::io::Result<T>, success: &str) -> String {
    result.map_or_else(|error| error.to_string(), |_| success.to_owned())
}
