//! The way from the exported function to the handler and back. Everything is moved, nothing copied.
//!
//! Public only because the code that `#[handler]` writes calls it.

use crate::bindings::landfall::hook::types;
use crate::{Event, Failure, FromEvent, IntoReply, Payload, Reply};
use std::time::Duration;

/// Runs `handler` on what the host passed in.
pub fn handle<A, R, F>(event: types::Event, handler: F) -> Result<types::Reply, types::Failure>
where
    A: FromEvent,
    R: IntoReply,
    F: FnOnce(A) -> Result<R, Failure>,
{
    let reply = A::from_event(event.into()).and_then(handler)?;
    Ok(reply.into_reply().into())
}

impl From<types::Event> for Event {
    fn from(event: types::Event) -> Self {
        Self {
            id: event.id,
            hook: event.hook,
            attempt: event.attempt,
            received_at: event.received_at,
            method: event.method,
            path: event.path,
            query: event.query,
            headers: event.headers,
            body: event.body.into(),
            attributes: event.attributes,
        }
    }
}

impl From<Reply> for types::Reply {
    fn from(reply: Reply) -> Self {
        Self {
            status: reply.status,
            headers: reply.headers,
            body: reply.body.into(),
        }
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry { reason, after } => Self::Retry(types::RetryHint {
                reason,
                after_ms: after.map(millis),
            }),
            Failure::Reject(reason) => Self::Reject(reason),
        }
    }
}

impl From<types::Payload> for Payload {
    fn from(payload: types::Payload) -> Self {
        match payload {
            types::Payload::Text(text) => Self::Text(text),
            types::Payload::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

impl From<Payload> for types::Payload {
    fn from(payload: Payload) -> Self {
        match payload {
            Payload::Text(text) => Self::Text(text),
            Payload::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

/// At most 49 days.
pub(crate) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
