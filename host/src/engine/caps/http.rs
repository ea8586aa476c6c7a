//! `http`: whole calls out, through the hook's egress client, within what is left of the attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker};

use crate::egress::{Client, Outgoing, OutgoingError, Received};
use crate::engine::bindings::PayloadResult as Payload;
use crate::engine::bindings::v0_1::landfall::hook::http::{Host, HttpError, Request, Response, add_to_linker};
use crate::engine::state::State;

const CALLS_MAX: u32 = 64;
/// Request and response bodies of one attempt together.
const BYTES_MAX: usize = 64 << 20;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The context of `http`.
pub struct Http {
    client: Arc<Client>,
    event_id: String,
    until: Instant,
    calls: u32,
    bytes: usize,
}

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_to_linker::<State, HasSelf<Http>>(linker, |state| &mut state.http)
}

// === impl Http ===

impl Http {
    pub fn new(client: Arc<Client>, event_id: String, until: Instant) -> Http {
        Http { client, event_id, until, calls: 0, bytes: 0 }
    }

    /// Calls made so far.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    fn count(&mut self, bytes: usize) -> Result<(), HttpError> {
        self.bytes += bytes;
        match self.bytes <= BYTES_MAX {
            true => Ok(()),
            false => Err(HttpError::Limit(format!("the calls of one attempt may move {BYTES_MAX} bytes"))),
        }
    }
}

impl Host for Http {
    async fn send(&mut self, request: Request) -> Result<Response, HttpError> {
        if self.calls >= CALLS_MAX {
            return Err(HttpError::Limit(format!("one attempt may make {CALLS_MAX} calls")));
        }
        self.calls += 1;
        let body = request.body.map(bytes_of).unwrap_or_default();
        self.count(body.len())?;
        let asked = request.timeout_ms.map_or(TIMEOUT_DEFAULT, |ms| Duration::from_millis(ms.into()));
        let timeout = asked.min(self.until.saturating_duration_since(Instant::now()));
        let outgoing = Outgoing { method: request.method, url: request.url, headers: request.headers, body, timeout };
        let received = self.client.send(outgoing, &self.event_id).await.map_err(told)?;
        self.count(received.body.len())?;
        Ok(response(received))
    }
}

impl crate::engine::bindings::v0_1::landfall::hook::types::Host for Http {}

pub fn link_types(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    crate::engine::bindings::v0_1::landfall::hook::types::add_to_linker::<State, HasSelf<Http>>(linker, |state| {
        &mut state.http
    })
}

fn bytes_of(payload: Payload) -> Bytes {
    match payload {
        Payload::Text(text) => text.into(),
        Payload::Binary(bytes) => bytes.into(),
    }
}

fn response(received: Received) -> Response {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = received.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    let body = match String::from_utf8(received.body.into()) {
        Ok(text) => Payload::Text(text),
        Err(error) => Payload::Binary(error.into_bytes()),
    };
    Response { status: received.status, headers: headers.collect(), body }
}

fn told(error: OutgoingError) -> HttpError {
    match error {
        OutgoingError::Denied(text) => HttpError::Denied(text),
        OutgoingError::Invalid(text) => HttpError::Invalid(text),
        OutgoingError::Unresolved(text) => HttpError::Unresolved(text),
        OutgoingError::Connection(text) => HttpError::Connection(text),
        OutgoingError::Tls(text) => HttpError::Tls(text),
        OutgoingError::Timeout(text) => HttpError::Timeout(text),
        OutgoingError::Limit(text) => HttpError::Limit(text),
        OutgoingError::Other(text) => HttpError::Other(text),
    }
}
