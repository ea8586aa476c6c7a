//! Replies as the headers of the request say: `x-status`, `x-type`, `x-headers: COUNT BYTES` and the body of the request. Fails where
//! `x-fail` asks for that.

use landfall_sdk::{Event, Failure, Reply, handler};

#[handler]
fn on_event(event: Event) -> Result<Reply, Failure> {
    if let Some(reason) = event.header("x-fail") {
        return Err(Failure::reject(reason));
    }
    let status = event
        .header("x-status")
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let mut reply = Reply::new(status);
    if let Some(content_type) = event.header("x-type") {
        reply = reply.with_header("content-type", content_type);
    }
    if let Some(asked) = event.header("x-headers") {
        reply = with_headers(reply, asked);
    }
    Ok(Reply {
        body: event.body,
        ..reply
    })
}

/// Adds headers of a size, of which their names are a part.
fn with_headers(reply: Reply, asked: &str) -> Reply {
    let numbers: Vec<usize> = asked.split(' ').flat_map(str::parse).collect();
    let (count, bytes) = (numbers[0], numbers[1]);
    (0..count).fold(reply, |reply, number| {
        let name = format!("x-{number:02}");
        let value = "x".repeat(bytes - name.len());
        reply.with_header(name, value)
    })
}
