//! The one place where a refusal becomes a status. What the caller may know is a fixed text for each case.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use super::counters::Counters;
use super::refuse::Why;
use landfall_hooks::Hook;
use landfall_model::{EventId, Outcome, Reply};
use landfall_verify::{Answer, AnswerRules, ReplyBody};

/// Why a request ends without a handler's reply.
#[derive(Debug, Clone)]
pub enum Stop {
    /// No hook has this path.
    UnknownPath,
    /// The hook does not take this method; the `Allow` header says which it takes.
    Method(HeaderValue),
    /// `OPTIONS`: the methods, without running anything.
    Options(HeaderValue),
    /// `HEAD` where `GET` is taken: yes, there is something here.
    Head,
    /// The head cannot be right.
    BadHead(&'static str),
    /// More bytes of head than the node takes.
    LargeHead,
    /// The body broke off or is no body.
    BadBody,
    /// The body did not come in time.
    SlowBody,
    /// More bytes than the hook takes, before or after decoding.
    TooLarge,
    /// The event is larger than the ledger or the broker takes; the error is for the operator.
    TooLargeToKeep(String),
    /// A `Content-Encoding` that is not known, or more than one.
    UnknownEncoding,
    /// The body is not what its `Content-Encoding` says.
    BadEncoding,
    /// Not proven; the status is the provider's.
    Unauthorized(u16, Box<Why>),
    /// An ownership check that is not passed, and the status that its rule gives.
    Challenge(u16, Box<Why>),
    /// The hook is closed, or has nothing to run, or the node is starting: come again.
    Unavailable(Box<Why>),
    /// No place in time, and the setting that bounds it: come again soon.
    Busy(&'static str),
    /// The event could not be stored: nothing is promised. The error is for the operator.
    NotKept(String),
}

const RETRY_SOON: Duration = Duration::from_secs(1);
const RETRY_LATER: Duration = Duration::from_secs(30);
/// Whatever a handler hints at: a sender that waits longer has given up.
const RETRY_MAX: Duration = Duration::from_secs(24 * 3600);

// === impl Stop ===

impl Stop {
    /// The rest of the body is not read before the answer: the body broke off, took too long, or is too large.
    pub fn abandons_body(&self) -> bool {
        matches!(self, Stop::BadBody | Stop::SlowBody | Stop::TooLarge)
    }

    /// What the caller gets. Only `refuse` calls this, so that every refusal is recorded.
    pub(super) fn response(self) -> Response {
        match self {
            Stop::UnknownPath => error(StatusCode::NOT_FOUND, "no hook here"),
            Stop::Method(allow) => with(
                error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
                ALLOW,
                allow,
            ),
            Stop::Options(allow) => with(empty(StatusCode::NO_CONTENT), ALLOW, allow),
            Stop::Head => empty(StatusCode::OK),
            Stop::BadHead(why) => closing(error(StatusCode::BAD_REQUEST, why)),
            Stop::LargeHead => closing(error(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "request head too large",
            )),
            Stop::BadBody => closing(error(StatusCode::BAD_REQUEST, "body broken")),
            Stop::SlowBody => closing(error(StatusCode::REQUEST_TIMEOUT, "body too slow")),
            Stop::TooLarge | Stop::TooLargeToKeep(_) => {
                closing(error(StatusCode::PAYLOAD_TOO_LARGE, "body too large"))
            }
            Stop::UnknownEncoding => {
                let response = error(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "content-encoding not supported",
                );
                with(
                    response,
                    ACCEPT_ENCODING,
                    HeaderValue::from_static("gzip, deflate, br, zstd"),
                )
            }
            Stop::BadEncoding => error(
                StatusCode::BAD_REQUEST,
                "body does not match its content-encoding",
            ),
            Stop::Unauthorized(status, _) => unauthorized(status),
            Stop::Challenge(status, _) => {
                empty(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN))
            }
            Stop::Unavailable(_) => retry(
                error(StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
                RETRY_LATER,
            ),
            Stop::NotKept(_) => retry(
                error(StatusCode::SERVICE_UNAVAILABLE, "not stored"),
                RETRY_LATER,
            ),
            Stop::Busy(_) => retry(error(StatusCode::SERVICE_UNAVAILABLE, "busy"), RETRY_SOON),
        }
    }
}

/// What the caller gets for an outcome in mode `sync`. The handler's reasons are the operator's, not the caller's.
pub fn outcome(rules: &AnswerRules, outcome: Outcome, event: EventId) -> Response {
    let failed = |status: StatusCode, what: &str| {
        json(
            status,
            &serde_json::json!({ "error": what, "event": event.to_string() }),
        )
    };
    match outcome {
        Outcome::Done(handlers) => reply(rules, handlers, event),
        Outcome::Retry { after, .. } => retry(
            failed(StatusCode::SERVICE_UNAVAILABLE, "not handled now"),
            after.unwrap_or(RETRY_LATER),
        ),
        Outcome::Reject(_) => failed(StatusCode::UNPROCESSABLE_ENTITY, "rejected"),
        Outcome::Timeout => failed(StatusCode::GATEWAY_TIMEOUT, "timeout"),
        Outcome::HostFault(_) => retry(
            failed(StatusCode::SERVICE_UNAVAILABLE, "not handled now"),
            RETRY_LATER,
        ),
        Outcome::Trap(_) | Outcome::OutOfMemory | Outcome::OverLimit(_) | Outcome::BadReply(_) => {
            failed(StatusCode::INTERNAL_SERVER_ERROR, "handler failed")
        }
    }
}

/// The answer to an ownership check. None where the provider sent something that no header can hold.
pub fn challenge(answer: Answer) -> Option<Response> {
    let mut response = empty(StatusCode::from_u16(answer.status).ok()?);
    for (name, value) in answer.headers {
        response.headers_mut().insert(
            name.parse::<http::HeaderName>().ok()?,
            HeaderValue::from_str(&value).ok()?,
        );
    }
    if let Some((content_type, text)) = answer.body {
        *response.body_mut() = Body::from(text);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    Some(response)
}

/// One unchanging answer, with the status that the provider can live with.
fn unauthorized(status: u16) -> Response {
    let status = StatusCode::from_u16(status).expect("the verifier checked the status");
    let response = error(status, "unauthorized");
    match status {
        StatusCode::UNAUTHORIZED => with(
            response,
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Webhook"),
        ),
        _ => response,
    }
}

/// The last look at an answer of a hook, the host's or the handler's: a status that costs the webhook is not sent, and a
/// provider that wants no body gets none.
pub fn sent(counters: &Counters, hook: &Hook, response: Response) -> Response {
    let (rules, status) = (hook.verifier.answers(), response.status().as_u16());
    let response = match rules.instead_of(status) {
        None => response,
        Some(instead) => {
            if counters.avoided(&hook.spec.name, status) {
                let what = "a status that the provider punishes was not sent; further ones are only counted";
                tracing::warn!(hook = &*hook.spec.name, status, sent = instead, what);
            }
            avoided(response, instead)
        }
    };
    if rules.reply_body == ReplyBody::Empty {
        without_body(response)
    } else {
        response
    }
}

/// Another status. What an avoided one would have said is not for the caller.
fn avoided(avoided: Response, status: u16) -> Response {
    let status = StatusCode::from_u16(status).expect("a constant is a good status");
    let mut response = retry(error(status, "unavailable"), RETRY_LATER);
    for name in [RETRY_AFTER, CONNECTION] {
        if let Some(value) = avoided.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn without_body(response: Response) -> Response {
    let mut response = response.map(|_| Body::empty());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// The event is stored and will be handled.
pub fn accepted(rules: &AnswerRules, event: EventId) -> Response {
    let accepted = &rules.accepted;
    let response = with_accepted_content(rules, empty(status(accepted.status)), event);
    let (mut parts, body) = response.into_parts();
    for (name, value) in &accepted.headers {
        if name != CONTENT_TYPE {
            parts.headers.append(name, value.clone());
        }
    }
    Response::from_parts(parts, body)
}

/// The handler's reply, as far as the provider takes it.
pub fn reply(rules: &AnswerRules, reply: Reply, event: EventId) -> Response {
    let has_body = !reply.body.is_empty();
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = status(rules.reply_status(reply.status));
    *response.headers_mut() = reply.headers;
    if !response.status().is_success() {
        return response;
    }
    if rules.has_no_body(response.status().as_u16()) {
        return without_body(response);
    }
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_taken = !has_body || rules.takes_type(content_type);
    if rules.reply_body == ReplyBody::Accepted || !is_taken {
        return with_accepted_content(rules, response, event);
    }
    response
}

/// With the body and content type of the accepted answer.
fn with_accepted_content(rules: &AnswerRules, response: Response, event: EventId) -> Response {
    let mut response = without_body(response);
    if rules.has_no_body(response.status().as_u16()) {
        return response;
    }
    let (body, content_type) = rules.accepted.content(&event.to_string());
    *response.body_mut() = Body::from(body);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("the engine, the hook file and the pack were checked")
}

fn error(status: StatusCode, what: &str) -> Response {
    json(status, &serde_json::json!({ "error": what }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    body(status, value.to_string().into())
}

fn body(status: StatusCode, json: Bytes) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    with(
        response,
        CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )
}

/// Nothing but a status.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn with(mut response: Response, name: http::HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

fn retry(response: Response, after: Duration) -> Response {
    let after = after.min(RETRY_MAX);
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    with(response, RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}

/// What is left of the request is not worth reading.
pub fn closing(response: Response) -> Response {
    with(response, CONNECTION, HeaderValue::from_static("close"))
}
