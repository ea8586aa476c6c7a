//! `landfall:hook/http`.

use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker};

use super::context::Http;
use super::record::StartedCall;
use crate::bindings::Payload;
use crate::bindings::v0_1::landfall::hook::http::{
    Host, HttpError, Request, Response, add_to_linker,
};
use crate::bindings::v0_1::landfall::hook::types;
use landfall_egress::{Outgoing, OutgoingError, Received};

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

/// Links the types of the package, which have no functions.
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
        let call = StartedCall::now(request.method.clone(), request.url.clone());
        match self.send_whole(request).await {
            Ok(received) => {
                self.record.add_answer(&call, &received);
                Ok(response(received))
            }
            Err(error) => {
                self.record.add_failure(&call, &error);
                Err(http_error(error))
            }
        }
    }
}

impl Http {
    async fn send_whole(&mut self, request: Request) -> Result<Received, OutgoingError> {
        self.start_call(&request.method, &request.url)?;
        let body = request.body.map(bytes_of).unwrap_or_default();
        let _held = self
            .memory
            .hold(body.len())
            .map_err(|error| OutgoingError::Limit(error.to_string()))?;
        self.transferred.add(body.len())?;

        let wanted = request
            .timeout_ms
            .map(|ms| Duration::from_millis(ms.into()));
        let outgoing = Outgoing {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body,
            timeout: self.timeout(wanted),
            untrusted: self.untrusted.clone(),
            memory: Some(self.memory.clone()),
        };
        let received = self.client.send(outgoing, &self.event_id).await?;
        self.transferred.add(received.body.len())?;
        Ok(received)
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
    match error {
        OutgoingError::Denied(text) => HttpError::Denied(text),
        OutgoingError::Invalid(text) => HttpError::Invalid(text),
        OutgoingError::Unresolved(text) => HttpError::Unresolved(text),
        OutgoingError::Connection(text) | OutgoingError::Broken(text) => {
            HttpError::Connection(text)
        }
        OutgoingError::Tls(text) => HttpError::Tls(text),
        OutgoingError::Timeout(text) => HttpError::Timeout(text),
        OutgoingError::Limit(text) => HttpError::Limit(text),
        OutgoingError::Other(text) => HttpError::Other(text),
    }
}
