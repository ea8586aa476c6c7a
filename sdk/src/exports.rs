//! The conversions between the exported functions and the author's functions. Values are moved, not copied.
//!
//! Public only because the code that `#[handler]` and `#[responder]` write calls it.

use crate::bindings::landfall::event::types;
use crate::function::HandlerFn;
use crate::time::whole_seconds;
use crate::{CapabilityError, Event, Failure, Payload, Reply};

/// Runs `handler` on the event of the host.
pub fn handle<A>(
    event: types::Event,
    handler: impl HandlerFn<A>,
) -> Result<Option<types::Reply>, types::Failure> {
    set_up();
    let reply = handler.call(event.into())?;
    Ok(reply.map(Into::into))
}

/// Runs `responder` on the event of the host. Only the reason of a failure goes to the host.
pub fn respond<A>(
    event: types::Event,
    responder: impl HandlerFn<A>,
) -> Result<Option<types::Reply>, String> {
    set_up();
    let reply = responder.call(event.into()).map_err(Failure::into_reason)?;
    Ok(reply.map(Into::into))
}

/// What an instance needs before the author's function runs.
fn set_up() {
    crate::facade::install();
    // Without WASI there is no standard error: the host reads the text of a panic from the log.
    #[cfg(target_os = "unknown")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(panic)));
}

impl From<types::Event> for Event {
    fn from(event: types::Event) -> Self {
        Self {
            id: event.id,
            hook: event.hook,
            attempt: event.attempt,
            received_at: event.received_at,
            provider: event.provider,
            event_type: event.event_type,
            delivery_id: event.delivery_id,
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
                after_s: after.map(whole_seconds),
            }),
            Failure::Defer { reason, after } => Self::Defer(types::RetryHint {
                reason,
                after_s: after.map(whole_seconds),
            }),
            Failure::Reject { reason, reply } => Self::Reject(types::Rejection {
                reason,
                reply: reply.map(Into::into),
            }),
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

impl From<types::CapabilityError> for CapabilityError {
    fn from(error: types::CapabilityError) -> Self {
        match error {
            types::CapabilityError::Denied(text) => Self::Denied(text),
            types::CapabilityError::Invalid(text) => Self::Invalid(text),
            types::CapabilityError::Limit(text) => Self::Limit(text),
            types::CapabilityError::Unavailable(text) => Self::Unavailable(text),
            types::CapabilityError::Other(text) => Self::Other(text),
        }
    }
}
