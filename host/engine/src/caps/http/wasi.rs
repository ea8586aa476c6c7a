//! `wasi:http/outgoing-handler`, through the same client. Bodies are whole: the host reads the body
//! of a request before it makes the call, and the body of a response before it passes the response
//! to the guest.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use super::context::{Caller, Http, Transferred};
use super::record::RunningCall;
use super::resources::header_bytes;
use crate::caps::held::Held;
use crate::state::FIELD_BYTES_MAX;
use landfall_egress::{BODY_BYTES_MAX, CollectError, Outgoing, OutgoingError, Permitted, Received};
use landfall_model::{MemoryBudget, MemoryHold};

/// The most bytes of one write to a body, as wasmtime has it by default: some runtimes write a
/// whole body at once.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// The same for all but the first bodies of an attempt, and for an attempt with little memory left.
const SMALL_CHUNK_BYTES_MAX: usize = 32 << 10;
const LARGE_CHUNK_BODIES_MAX: u32 = 4;
/// The memory that must be left for a body with large chunks.
const LARGE_CHUNK_MEMORY_MIN: usize = 16 << 20;
/// The writes to a body that wait until they are read: one that the host sets, and one that
/// wasmtime adds.
const CHUNKS_WAITING: usize = 2;

/// A response, and the rest of the request that is still to be sent: nothing.
type Answer = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

/// A permitted call whose body is still to be read.
struct PendingCall {
    call: RunningCall,
    /// The call without its headers and its body.
    outgoing: Outgoing,
    permitted: Permitted,
    caller: Caller,
    idempotency_key: String,
    memory: MemoryBudget,
    transferred: Transferred,
    /// The memory that the head of the request occupies until the call ends.
    _head: MemoryHold,
}

impl WasiHttpHooks for Http {
    // `fields` do not say which message they belong to. Egress refuses forbidden headers of
    // requests, and `reply` removes the headers of responses that the host writes itself.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|_| false)
    }

    // Egress writes this header.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        CHUNKS_WAITING - 1
    }

    // wasmtime calls this once for every body that a guest starts.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.bodies += 1;
        let is_large =
            self.bodies <= LARGE_CHUNK_BODIES_MAX && self.memory.left() >= LARGE_CHUNK_MEMORY_MIN;
        let chunk = if is_large {
            CHUNK_BYTES_MAX
        } else {
            SMALL_CHUNK_BYTES_MAX
        };

        // The guest may also finish the body with trailers.
        self.memory
            .take_or_overdraw(chunk * CHUNKS_WAITING + FIELD_BYTES_MAX);
        chunk
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = wasmtime_wasi_http::Result<Answer>> + Send> {
        let (head, body) = request.into_parts();
        let span = self.call_span();
        let (method, url) = (head.method.to_string(), head.uri.to_string());
        let call = self.record.start(method, url, span, None);

        // The check is made now: before the first byte of the body is kept, and even if the guest
        // does not wait for the response.
        let permitted = self
            .start_call(call.method(), call.url())
            .and_then(|(permitted, key)| Ok((permitted, key, self.hold_head(&head)?)));
        let (permitted, idempotency_key, held_head) = match permitted {
            Ok(permitted) => permitted,
            Err(error) => {
                call.failed(&error);
                tokio::spawn(discard(body));
                return Box::new(async move { Err(denied(error)) });
            }
        };

        call.set_permitted(&permitted);
        let wanted = options.and_then(|options| options.first_byte_timeout);
        let pending = PendingCall {
            outgoing: Outgoing {
                method: call.method().to_owned(),
                url: call.url().to_owned(),
                headers: Vec::new(),
                body: Bytes::new(),
                timeout: self.timeout(wanted),
                untrusted: self.untrusted.clone(),
                memory: Some(self.memory.clone()),
            },
            permitted,
            call,
            caller: self.caller.clone(),
            idempotency_key,
            memory: self.memory.clone(),
            transferred: self.transferred.clone(),
            _head: held_head,
        };
        Box::new(pending.send(head, body))
    }
}

// === impl Http ===

impl Http {
    fn hold_head(&self, head: &Parts) -> Result<MemoryHold, OutgoingError> {
        let uri = head.uri.authority().map_or(0, |it| it.as_str().len())
            + head.uri.path_and_query().map_or(0, |it| it.as_str().len());
        self.memory
            .hold(header_bytes(&head.headers) + head.method.as_str().len() + uri)
            .map_err(|error| OutgoingError::Limit(error.to_string()))
    }
}

// === impl PendingCall ===

impl PendingCall {
    /// Makes the call and records how it ended, also if it is cut off.
    async fn send(mut self, head: Parts, body: WasiBody) -> wasmtime_wasi_http::Result<Answer> {
        match self.exchange(head, body).await {
            Ok(received) => {
                self.call.answered(&received);
                Ok(answer(received))
            }
            Err((error, shown)) => {
                self.call.failed(&error);
                Err(shown)
            }
        }
    }

    /// An error is the one for the record, and the one that the component receives.
    async fn exchange(
        &mut self,
        head: Parts,
        body: WasiBody,
    ) -> Result<Received, (OutgoingError, Error)> {
        let (body, _held) = landfall_egress::collect(body, Some(&self.memory))
            .await
            .map_err(body_error)?;
        self.transferred
            .add(body.len())
            .map_err(|error| (error, Error::HttpRequestBodySize(None)))?;

        self.outgoing.headers = headers_of(&head);
        self.call.set_request(&self.outgoing.headers, &body);
        self.call.pass_trace_on(&mut self.outgoing.headers);
        self.outgoing.body = body;
        self.receive().await.map_err(|error| {
            let shown = wasi_error(&error);
            (error, shown)
        })
    }

    async fn receive(&self) -> Result<Received, OutgoingError> {
        let (outgoing, permitted) = (self.outgoing.clone(), self.permitted.clone());
        let received = self
            .caller
            .send(outgoing, permitted, &self.idempotency_key)
            .await?;
        self.transferred.add(received.body.len())?;
        Ok(received)
    }
}

/// Reads the body of a denied call and keeps nothing, so that the guest can finish it: a JavaScript
/// runtime ends without a response if it cannot. The reading ends with the guest.
async fn discard(body: WasiBody) {
    let mut body = pin!(body);
    let mut left = BODY_BYTES_MAX;

    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(read) else {
            return;
        };
        left = rest;
    }
}

/// The headers of the request. Egress writes `content-length`, which wasmtime has compared with the
/// body.
fn headers_of(head: &Parts) -> Vec<(String, String)> {
    head.headers
        .iter()
        .filter(|(name, _)| *name != CONTENT_LENGTH)
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

fn answer(received: Received) -> Answer {
    let body = Held::new(Full::new(received.body), received.held);
    let mut response = http::Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() =
        http::StatusCode::from_u16(received.status).expect("egress had it from a response");
    *response.headers_mut() = received.headers;

    // These headers describe the connection, or the body before a secret was removed from it.
    for name in DEFAULT_FORBIDDEN_HEADERS.iter() {
        response.headers_mut().remove(name);
    }
    response.headers_mut().remove(CONTENT_LENGTH);
    (response, Box::new(async { Ok(()) }))
}

/// The body of the request could not be read.
fn body_error(error: CollectError<Error>) -> (OutgoingError, Error) {
    match error {
        CollectError::Broken(error) => {
            let why = "the component did not finish the body";
            (OutgoingError::Invalid(why.into()), error)
        }
        error => {
            let why = OutgoingError::Limit(error.to_string());
            (why, Error::HttpRequestBodySize(None))
        }
    }
}

fn wasi_error(error: &OutgoingError) -> Error {
    match error {
        OutgoingError::Denied(_) | OutgoingError::DeniedAddress { .. } => Error::HttpRequestDenied,
        OutgoingError::Invalid(_) => Error::HttpRequestUriInvalid,
        OutgoingError::Unresolved(_) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        OutgoingError::Unreachable(_) => Error::ConnectionRefused,
        OutgoingError::Interrupted(_) => Error::ConnectionTerminated,
        OutgoingError::Tls(_) => Error::TlsProtocolError,
        OutgoingError::Timeout(_) => Error::HttpResponseTimeout,
        OutgoingError::Limit(_) => Error::HttpResponseBodySize(None),
        OutgoingError::Unavailable(_) | OutgoingError::Redirected(_) | OutgoingError::Other(_) => {
            Error::InternalError(Some(error.guest_text()))
        }
    }
}

/// The error of a call that is not made.
fn denied(error: OutgoingError) -> Error {
    match error {
        // The attempt has made too many calls.
        OutgoingError::Limit(_) => Error::HttpRequestDenied,
        error => wasi_error(&error),
    }
}
