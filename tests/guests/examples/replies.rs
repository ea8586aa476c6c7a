//! Replies as the headers of the request say: `x-status`, `x-type` and the body of the request. Fails where `x-fail` asks for that.

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
    Ok(Reply {
        body: event.body,
        ..reply
    })
}
