//! `http`: whole calls out, through the hook's egress client, within what is left of the attempt.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, Full};
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use super::held::Held;
use crate::bindings::PayloadResult as Payload;
use crate::bindings::v0_1::landfall::hook::http::{
    Host, HttpError, Request, Response, add_to_linker,
};
use crate::reply;
use crate::state::State;
use landfall_egress::{Client, CollectError, Outgoing, OutgoingError, Received};
use landfall_model::{CallResult, Event, MemoryBudget, MemoryExhausted, OutboundCall};

const CALLS_MAX: u32 = 64;
/// Request and response bodies of one attempt together.
const BYTES_MAX: usize = 64 << 20;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// The most answered calls that an attempt records. Failed calls are always recorded.
const RECORDED_MAX: usize = 32;
/// The most bytes of a response body in the record of a call.
pub const ANSWER_BYTES_MAX: usize = 2 << 10;
/// Bytes that are searched for secrets before the record is cut: a secret that starts before the cut is redacted as a whole.
const SECRET_BYTES_MAX: usize = 1 << 10;
/// The most bytes of a method in the record of a call.
const METHOD_CHARACTERS_MAX: usize = 32;
/// Of one write to a body of `wasi:http`.
const CHUNK_BYTES_MAX: usize = 32 << 10;
/// Writes to a body of `wasi:http` that wait until they are read: the one that is asked for and the one more that
/// wasmtime adds.
const CHUNKS_WAITING: usize = 2;

/// The context of `http`.
pub struct Http {
    client: Arc<Client>,
    event_id: String,
    /// The event.
    untrusted: Option<Arc<Event>>,
    until: Instant,
    calls: u32,
    bytes: Arc<AtomicUsize>,
    memory: MemoryBudget,
    record: Record,
}

/// The calls of an attempt, whether or not the guest reports them.
#[derive(Debug, Clone, Default)]
struct Record(Arc<Mutex<Vec<OutboundCall>>>);

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_to_linker::<State, HasSelf<Http>>(linker, |state| &mut state.http)
}

// === impl Http ===

impl Http {
    pub fn new(
        client: Arc<Client>,
        untrusted: Option<Arc<Event>>,
        until: Instant,
        memory: MemoryBudget,
    ) -> Http {
        let event_id = untrusted
            .as_ref()
            .map(|event| event.id.to_string())
            .unwrap_or_default();
        Http {
            client,
            event_id,
            untrusted,
            until,
            calls: 0,
            bytes: Arc::default(),
            memory,
            record: Record::default(),
        }
    }

    /// Calls made so far.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// The calls that are recorded, at the end of the attempt.
    pub fn recorded(&self) -> Vec<OutboundCall> {
        std::mem::take(&mut *self.record.lock())
    }

    fn begin(&mut self) -> Result<(), OutgoingError> {
        if self.calls >= CALLS_MAX {
            return Err(OutgoingError::Limit(format!(
                "one attempt may make {CALLS_MAX} calls"
            )));
        }
        self.calls += 1;
        Ok(())
    }

    async fn send_whole(&mut self, mut request: Request) -> Result<Received, OutgoingError> {
        self.begin()?;
        self.client.check(&request.method, &request.url)?;
        let body = request.body.take().map(bytes_of).unwrap_or_default();
        let _held = self.memory.hold(body.len()).map_err(no_memory)?;
        count(&self.bytes, body.len())?;
        let asked = request
            .timeout_ms
            .map_or(TIMEOUT_DEFAULT, |ms| Duration::from_millis(ms.into()));
        let timeout = asked.min(self.until.saturating_duration_since(Instant::now()));
        let (untrusted, memory) = (self.untrusted.clone(), Some(self.memory.clone()));
        let Request {
            method,
            url,
            headers,
            ..
        } = request;
        let outgoing = Outgoing {
            method,
            url,
            headers,
            body,
            timeout,
            untrusted,
            memory,
        };
        let received = self.client.send(outgoing, &self.event_id).await?;
        count(&self.bytes, received.body.len())?;
        Ok(received)
    }
}

// === impl Record ===

impl Record {
    fn lock(&self) -> MutexGuard<'_, Vec<OutboundCall>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn add_answer(&self, method: &str, url: &str, began: Instant, received: &Received) {
        if self.lock().len() < RECORDED_MAX {
            let (status, bytes) = (received.status, received.body.len());
            let beginning =
                landfall_egress::beginning(&received.body, ANSWER_BYTES_MAX + SECRET_BYTES_MAX);
            self.add(
                method,
                url,
                began,
                CallResult::Answered {
                    status,
                    bytes,
                    beginning,
                },
            );
        }
    }

    /// Only the first call beyond a limit is recorded: the others are the same.
    fn add_failure(&self, method: &str, url: &str, began: Instant, error: &OutgoingError) {
        let result = CallResult::Failed {
            error: error.word(),
            reason: reply::bounded(&error.to_string()),
        };
        let is_limit = matches!(error, OutgoingError::Limit(_));
        let is_known = |calls: &[OutboundCall]| calls.iter().any(|call| call.result == result);
        if self.lock().len() > CALLS_MAX as usize || (is_limit && is_known(&self.lock())) {
            return;
        }
        self.add(method, url, began, result);
    }

    fn add(&self, method: &str, url: &str, began: Instant, result: CallResult) {
        let method = method
            .chars()
            .take(METHOD_CHARACTERS_MAX)
            .flat_map(char::escape_debug)
            .collect();
        let (url, duration) = (landfall_egress::shown_url(url), began.elapsed());
        self.lock().push(OutboundCall {
            method,
            url,
            duration,
            result,
        });
    }
}

/// Adds to the bytes that an attempt has moved.
fn count(moved: &AtomicUsize, bytes: usize) -> Result<(), OutgoingError> {
    match moved.fetch_add(bytes, Ordering::Relaxed) + bytes <= BYTES_MAX {
        true => Ok(()),
        false => Err(OutgoingError::Limit(format!(
            "the calls of one attempt may move {BYTES_MAX} bytes"
        ))),
    }
}

fn no_memory(error: MemoryExhausted) -> OutgoingError {
    OutgoingError::Limit(error.to_string())
}

/// The same way out for components that call by `wasi:http`. Bodies are whole: the body of a request is read before the
/// call is made, the body of a response before it is handed on.
impl WasiHttpHooks for Http {
    // `fields` do not say which message they are for. Egress refuses forbidden headers of requests, `reply` leaves out
    // those of responses that the host writes itself.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|_| false)
    }

    // Egress writes it.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        CHUNKS_WAITING - 1
    }

    // Called once for every body that a guest begins.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.memory
            .take_or_overdraw(CHUNK_BYTES_MAX * CHUNKS_WAITING);
        CHUNK_BYTES_MAX
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>,
    ) -> Box<dyn Future<Output = wasmtime_wasi_http::Result<Answer>> + Send> {
        let (head, body) = request.into_parts();
        let (method, url) = (head.method.to_string(), head.uri.to_string());
        // At once: before the first byte of the body is read, and also where the guest does not wait for what comes of it.
        let begun = self.begin().and_then(|()| self.client.check(&method, &url));
        let began = Instant::now();
        if let Err(error) = &begun {
            self.record.add_failure(&method, &url, began, error);
        }
        let asked = options
            .and_then(|options| options.first_byte_timeout)
            .unwrap_or(TIMEOUT_DEFAULT);
        let timeout = asked.min(self.until.saturating_duration_since(Instant::now()));
        let (client, event_id, moved) = (
            self.client.clone(),
            self.event_id.clone(),
            self.bytes.clone(),
        );
        let (untrusted, memory, record) = (
            self.untrusted.clone(),
            self.memory.clone(),
            self.record.clone(),
        );
        Box::new(async move {
            begun.map_err(refused_before)?;
            let failed =
                |error: OutgoingError, told: fn(OutgoingError) -> wasmtime_wasi_http::Error| {
                    record.add_failure(&method, &url, began, &error);
                    told(error)
                };
            let (body, _held) = match landfall_egress::collect(body, Some(&memory)).await {
                Ok(collected) => collected,
                Err(CollectError::Broken(error)) => {
                    record.add_failure(
                        &method,
                        &url,
                        began,
                        &OutgoingError::Invalid("the component did not finish the body".into()),
                    );
                    return Err(error);
                }
                Err(error) => {
                    return Err(failed(
                        OutgoingError::Limit(error.to_string()),
                        request_too_large,
                    ));
                }
            };
            count(&moved, body.len()).map_err(|error| failed(error, request_too_large))?;
            let text =
                |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            // wasmtime has compared this one with the body; egress writes it again.
            let headers = head
                .headers
                .iter()
                .filter(|(name, _)| *name != CONTENT_LENGTH);
            let headers = headers
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect();
            let memory = Some(memory);
            let (its_method, its_url) = (method.clone(), url.clone());
            let outgoing = Outgoing {
                method: its_method,
                url: its_url,
                headers,
                body,
                timeout,
                untrusted,
                memory,
            };
            let received = client
                .send(outgoing, &event_id)
                .await
                .map_err(|error| failed(error, refused))?;
            count(&moved, received.body.len()).map_err(|error| failed(error, refused))?;
            record.add_answer(&method, &url, began, &received);
            let body = Held::new(Full::new(received.body), received.held);
            let mut response =
                http::Response::new(body.map_err(|never| match never {}).boxed_unsync());
            *response.status_mut() =
                http::StatusCode::from_u16(received.status).expect("egress had it from a response");
            *response.headers_mut() = received.headers;
            // They speak of the connection, or of the body before a secret was taken out of it.
            DEFAULT_FORBIDDEN_HEADERS
                .iter()
                .for_each(|name| drop(response.headers_mut().remove(name)));
            response.headers_mut().remove(CONTENT_LENGTH);
            let sent: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((response, sent))
        })
    }
}

/// A response, and what is left to be sent: nothing.
type Answer = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>,
);

fn refused(error: OutgoingError) -> wasmtime_wasi_http::Error {
    use wasmtime_wasi_http::Error;
    match error {
        OutgoingError::Denied(_) => Error::HttpRequestDenied,
        OutgoingError::Invalid(_) => Error::HttpRequestUriInvalid,
        OutgoingError::Unresolved(_) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        OutgoingError::Connection(_) => Error::ConnectionTerminated,
        OutgoingError::Tls(_) => Error::TlsProtocolError,
        OutgoingError::Timeout(_) => Error::HttpResponseTimeout,
        OutgoingError::Limit(_) => Error::HttpResponseBodySize(None),
        OutgoingError::Other(text) => Error::InternalError(Some(text)),
    }
}

fn refused_before(error: OutgoingError) -> wasmtime_wasi_http::Error {
    match error {
        // Too many calls.
        OutgoingError::Limit(_) => wasmtime_wasi_http::Error::HttpRequestDenied,
        error => refused(error),
    }
}

fn request_too_large(_: OutgoingError) -> wasmtime_wasi_http::Error {
    wasmtime_wasi_http::Error::HttpRequestBodySize(None)
}

impl Host for Http {
    async fn send(&mut self, request: Request) -> Result<Response, HttpError> {
        let (method, url, began) = (request.method.clone(), request.url.clone(), Instant::now());
        match self.send_whole(request).await {
            Ok(received) => {
                self.record.add_answer(&method, &url, began, &received);
                Ok(response(received))
            }
            Err(error) => {
                self.record.add_failure(&method, &url, began, &error);
                Err(told(error))
            }
        }
    }
}

impl crate::bindings::v0_1::landfall::hook::types::Host for Http {}

pub fn link_types(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    crate::bindings::v0_1::landfall::hook::types::add_to_linker::<State, HasSelf<Http>>(
        linker,
        |state| &mut state.http,
    )
}

fn bytes_of(payload: Payload) -> Bytes {
    match payload {
        Payload::Text(text) => text.into(),
        Payload::Binary(bytes) => bytes.into(),
    }
}

fn response(received: Received) -> Response {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = received
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)));
    let body = match String::from_utf8(received.body.into()) {
        Ok(text) => Payload::Text(text),
        Err(error) => Payload::Binary(error.into_bytes()),
    };
    Response {
        status: received.status,
        headers: headers.collect(),
        body,
    }
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
