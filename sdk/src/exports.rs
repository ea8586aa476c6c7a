//! The conversions between the exported functions and the author's functions. Values are moved, not
//! copied.
//!
//! Public only because the code that `#[handler]`, `#[responder]` and `#[init]` write calls it.

use crate::bindings::landfall::event::types;
use crate::function::{HandlerFn, InitResult};
use crate::time::whole_seconds;
use crate::{CapabilityError, Event, Failure, Payload, Reply};

/// How `std` panics where it would have to ask an operating system: for the time, for a thread, to
/// sleep.
#[cfg(target_os = "unknown")]
const STD_WITHOUT_SYSTEM: [&str; 2] = ["on this platform", "can't sleep"];

/// What an author can do about such a panic, whose place is in `std`.
#[cfg(target_os = "unknown")]
const NEEDS_WASI: &str = "this handler is built without WASI: write target = \"wasm32-wasip2\" under [package.metadata.landfall] in Cargo.toml, \
    or use landfall_sdk instead of std: the time of the event is event.received_at";

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

/// Runs the author's `init`.
pub fn init<R: InitResult>(init: impl FnOnce() -> R) -> Result<(), String> {
    set_up();
    init().into_result()
}

/// What an instance needs before the author's function runs. In one that starts after `init` it is
/// there already.
fn set_up() {
    crate::facade::install();
    #[cfg(target_os = "unknown")]
    std::panic::set_hook(Box::new(log_panic));
}

/// Without WASI there is no standard error: the host reads the text of a panic from the log.
#[cfg(target_os = "unknown")]
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or_default();
    if STD_WITHOUT_SYSTEM.iter().any(|words| text.contains(words)) {
        crate::log::error(format!("{panic}\n{NEEDS_WASI}"));
    } else {
        crate::log::error(panic);
    }
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
