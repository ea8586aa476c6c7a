//! `landfall:http`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use wasmtime::component::{HasSelf, Linker};

use super::call::{PreparedCall, Wanted};
use super::context::Http;
use crate::bindings::Payload;
use crate::bindings::v0_1::landfall::event::types;
use crate::bindings::v0_1::landfall::http::http::{
    Host, HttpError, Request, Response, add_to_linker,
};
use landfall_egress::{OutgoingError, Received};

/// How many requests of one `send-all` are in flight at a time.
const PARALLEL_MAX: usize = 8;

/// Links the host functions. `context` finds the capability in the state of a store.
pub(crate) fn link<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut Http,
) -> wasmtime::Result<()>
where
    T: Send + 'static,
{
    add_to_linker::<T, HasSelf<Http>>(linker, context)
}

/// Links the types of `landfall:event`, which have no functions.
pub(crate) fn link_types<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut Http,
) -> wasmtime::Result<()>
where
    T: 'static,
{
    types::add_to_linker::<T, HasSelf<Http>>(linker, context)
}

impl types::Host for Http {}

impl Host for Http {
    async fn send(&mut self, request: Request) -> Result<Response, HttpError> {
        finish(self.prepare(wanted(request))).await
    }

    async fn send_all(&mut self, requests: Vec<Request>) -> Vec<Result<Response, HttpError>> {
        // All are prepared first, in their order: the idempotency keys depend on it.
        let prepared: Vec<PreparedCall> = requests
            .into_iter()
            .map(|request| self.prepare(wanted(request)))
            .collect();
        futures_util::stream::iter(prepared.into_iter().map(finish))
            .buffered(PARALLEL_MAX)
            .collect()
            .await
    }
}

async fn finish(call: PreparedCall) -> Result<Response, HttpError> {
    call.send().await.map(response).map_err(http_error)
}

fn wanted(request: Request) -> Wanted {
    Wanted {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.map(bytes_of).unwrap_or_default(),
        timeout: request
            .timeout_ms
            .map(|ms| Duration::from_millis(ms.into())),
    }
}

fn bytes_of(payload: Payload) -> Bytes {
    match payload {
        Payload::Text(text) => text.into(),
        Payload::Binary(bytes) => bytes.into(),
    }
}

fn response(received: Received) -> Response {
    let headers = received
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let body = match String::from_utf8(received.body.into()) {
        Ok(text) => Payload::Text(text),
        Err(error) => Payload::Binary(error.into_bytes()),
    };
    Response {
        status: received.status,
        headers,
        body,
    }
}

fn http_error(error: OutgoingError) -> HttpError {
    let text = error.guest_text();
    match error {
        OutgoingError::Denied(_) | OutgoingError::DeniedAddress { .. } => HttpError::Denied(text),
        OutgoingError::Invalid(_) => HttpError::Invalid(text),
        OutgoingError::Unavailable(_) => HttpError::Unavailable(text),
        OutgoingError::Unresolved(_) => HttpError::Unresolved(text),
        OutgoingError::Unreachable(_) => HttpError::Unreachable(text),
        OutgoingError::Tls(_) => HttpError::Tls(text),
        OutgoingError::Interrupted(_) => HttpError::Interrupted(text),
        OutgoingError::Timeout(_) => HttpError::Timeout(text),
        OutgoingError::Limit(_) => HttpError::Limit(text),
        OutgoingError::Redirected(_) | OutgoingError::Other(_) => HttpError::Other(text),
    }
}
