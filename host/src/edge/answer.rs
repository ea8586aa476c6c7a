//! The one place where a refusal becomes a status. What the caller may know is a fixed text for each case.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::refuse::Why;
use crate::model::{AcceptedSpec, EventId, Outcome, Reply};
use crate::verify::{Answer, Answers};

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
    /// More bytes than the hook takes.
    TooLarge,
    /// The event is larger than the ledger or the broker takes; the error is for the operator.
    TooLargeToKeep(String),
    /// Not proven.
    Unauthorized(Answers, Box<Why>),
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
    /// The body broke off, or took too long already.
    pub fn is_about_the_body(&self) -> bool {
        matches!(self, Stop::BadBody | Stop::SlowBody)
    }

    /// What the caller gets. Only `refuse` calls this, so that every refusal is recorded.
    pub(super) fn response(self) -> Response {
        match self {
            Stop::UnknownPath => error(StatusCode::NOT_FOUND, "no hook here"),
            Stop::Method(allow) => with(error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"), ALLOW, allow),
            Stop::Options(allow) => with(empty(StatusCode::NO_CONTENT), ALLOW, allow),
            Stop::Head => empty(StatusCode::OK),
            Stop::BadHead(why) => closing(error(StatusCode::BAD_REQUEST, why)),
            Stop::LargeHead => closing(error(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "request head too large")),
            Stop::BadBody => closing(error(StatusCode::BAD_REQUEST, "body broken")),
            Stop::SlowBody => closing(error(StatusCode::REQUEST_TIMEOUT, "body too slow")),
            Stop::TooLarge | Stop::TooLargeToKeep(_) => closing(error(StatusCode::PAYLOAD_TOO_LARGE, "body too large")),
            Stop::Unauthorized(answers, _) => unauthorized(answers),
            Stop::Challenge(status, _) => empty(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN)),
            Stop::Unavailable(_) => retry(error(StatusCode::SERVICE_UNAVAILABLE, "unavailable"), RETRY_LATER),
            Stop::NotKept(_) => retry(error(StatusCode::SERVICE_UNAVAILABLE, "not stored"), RETRY_LATER),
            Stop::Busy(_) => retry(error(StatusCode::SERVICE_UNAVAILABLE, "busy"), RETRY_SOON),
        }
    }
}

/// What the caller gets for an outcome in mode `sync`. The handler's reasons are the operator's, not the caller's.
pub fn outcome(outcome: Outcome, event: EventId) -> Response {
    let failed = |status: StatusCode, what: &str| {
        json(status, &serde_json::json!({ "error": what, "event": event.to_string() }))
    };
    match outcome {
        Outcome::Done(reply) => done(reply),
        Outcome::Retry { after, .. } => {
            retry(failed(StatusCode::SERVICE_UNAVAILABLE, "not handled now"), after.unwrap_or(RETRY_LATER))
        }
        Outcome::Reject(_) => failed(StatusCode::UNPROCESSABLE_ENTITY, "rejected"),
        Outcome::Timeout => failed(StatusCode::GATEWAY_TIMEOUT, "timeout"),
        Outcome::HostFault(_) => retry(failed(StatusCode::SERVICE_UNAVAILABLE, "not handled now"), RETRY_LATER),
        Outcome::Trap(_) | Outcome::OutOfMemory | Outcome::OverLimit(_) | Outcome::BadReply(_) => {
            failed(StatusCode::INTERNAL_SERVER_ERROR, "handler failed")
        }
    }
}

/// The answer to an ownership check. None where the provider sent something that no header can hold.
pub fn challenge(answer: Answer) -> Option<Response> {
    let mut response = empty(StatusCode::from_u16(answer.status).ok()?);
    for (name, value) in answer.headers {
        response.headers_mut().insert(name.parse::<http::HeaderName>().ok()?, HeaderValue::from_str(&value).ok()?);
    }
    if let Some((content_type, text)) = answer.body {
        *response.body_mut() = Body::from(text);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    Some(response)
}

/// One unchanging answer, with the status that the provider can live with.
fn unauthorized(answers: Answers) -> Response {
    let status = StatusCode::from_u16(answers.refused_status).expect("the verifier checked the status");
    let response = if answers.are_empty { empty(status) } else { error(status, "unauthorized") };
    match status {
        StatusCode::UNAUTHORIZED => with(response, WWW_AUTHENTICATE, HeaderValue::from_static("Webhook")),
        _ => response,
    }
}

/// For providers that want none.
pub fn without_body(response: Response) -> Response {
    let mut response = response.map(|_| Body::empty());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// The event is in good hands.
pub fn accepted(spec: &AcceptedSpec, usual_status: u16, event: EventId) -> Response {
    let status = spec.status.unwrap_or(usual_status);
    let status = StatusCode::from_u16(status).expect("the hook file and the pack were checked");
    let id = event.to_string();
    let mut response = match &spec.body {
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) => empty(status),
        None => json(status, &serde_json::json!({ "accepted": true, "event": id })),
        Some(text) => body(status, text.replace("{event}", &id).into()),
    };
    response.headers_mut().extend(spec.headers.clone());
    response
}

/// The handler's reply.
pub fn done(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("the engine checked the status");
    *response.headers_mut() = reply.headers;
    response
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
    with(response, CONTENT_TYPE, HeaderValue::from_static("application/json"))
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
