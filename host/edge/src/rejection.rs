//! Why a request is rejected, and the answer to it. The caller sees a fixed text for each case.
//! `Why` is for the operator.

use axum::response::Response;
use http::header::{ACCEPT_ENCODING, ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use landfall_metrics::RequestOutcome;
use landfall_model::{RequestExcerpt, UnreadableBody};

use super::answer::{RETRY_LATER, RETRY_SOON, closing, empty, error, retry, with};
use super::responses::OverBudget;

/// Why a request ends without a handler's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// No hook has this path.
    UnknownPath,
    /// The hook does not accept this method. The value is the `Allow` header.
    Method(HeaderValue),
    /// `OPTIONS`. The value is the `Allow` header. Nothing is refused.
    Options(HeaderValue),
    /// `HEAD` at a hook that accepts `GET`. Nothing is refused.
    Head,
    /// The head is invalid.
    BadHead(&'static str),
    /// The head is too large.
    LargeHead,
    /// The method is longer than every method that HTTP knows.
    UnknownMethod,
    /// The `Transfer-Encoding` has another coding before `chunked`.
    UnknownCoding,
    /// The body is incomplete or its framing is invalid.
    BadBody,
    /// The body was not received in time.
    SlowBody,
    /// The body is larger than `max_body`, before or after decoding.
    TooLarge,
    /// The event is too large for the ledger or the broker. The error is for the operator.
    TooLargeToKeep(String),
    /// The `Content-Encoding` is unknown, or there are several.
    UnknownEncoding,
    /// The body cannot be decoded.
    BadEncoding,
    /// `[redact]` cannot read the body, so that it must not be stored.
    Unreadable(UnreadableBody),
    /// The sender is not authenticated. The status is the provider's.
    Unauthorized(u16, Box<Why>),
    /// An ownership check failed. The status is that of its rule.
    Challenge(u16, Box<Why>),
    /// The hook is closed or has no component, or the node is starting.
    Unavailable(Box<Why>),
    /// No permit in time. The value is the setting that limits them.
    Busy(&'static str),
    /// The handler's reply has no room in memory.
    NoResponseMemory(OverBudget),
    /// The event could not be stored. The error is for the operator.
    NotKept(String),
}

/// A rejection, and the part of the request that the operator sees.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) rejection: Rejection,
    pub(crate) request: Option<Box<RequestExcerpt>>,
}

/// The reason of a rejection, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// One word, for records, counters and logs.
    pub reason: &'static str,
    /// How the request differs from what was expected. Never holds a secret.
    pub detail: String,
    /// What to do.
    pub hint: Option<String>,
    /// The request, if the reason lies in it.
    pub request: Option<Box<RequestExcerpt>>,
}

/// What the listener refuses before it has a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The head has too many bytes or headers; answered 431.
    LargeHead,
    /// The head is not HTTP; answered 400.
    BadHead,
    /// HTTP/2 is disabled; the connection is closed.
    Http2,
    /// The head was not received in time; the connection is closed.
    SlowHead,
    /// The answer was not read in time; the connection is closed or the stream is reset.
    SlowReader,
}

// === impl Rejected ===

impl From<Rejection> for Rejected {
    fn from(rejection: Rejection) -> Rejected {
        Rejected {
            rejection,
            request: None,
        }
    }
}

// === impl Rejection ===

impl Rejection {
    /// Whether the rest of the body is not read before the answer.
    pub(crate) fn abandons_body(&self) -> bool {
        matches!(
            self,
            Rejection::BadHead(_)
                | Rejection::LargeHead
                | Rejection::UnknownMethod
                | Rejection::UnknownCoding
                | Rejection::BadBody
                | Rejection::SlowBody
                | Rejection::TooLarge
        )
    }

    /// Whether the node or its configuration is the reason, not the request.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(
            self,
            Rejection::Unavailable(_)
                | Rejection::Busy(_)
                | Rejection::NoResponseMemory(_)
                | Rejection::NotKept(_)
        )
    }

    /// How the request counts.
    pub(crate) fn outcome(&self) -> RequestOutcome {
        match self {
            Rejection::Options(_) | Rejection::Head => RequestOutcome::Other,
            _ => RequestOutcome::Refused,
        }
    }

    /// The answer: the one place that turns a rejection into a status. Only `refuse` calls this, so
    /// that every rejection is recorded.
    pub(crate) fn response(self) -> Response {
        match self {
            Rejection::UnknownPath => error(StatusCode::NOT_FOUND, "no hook here"),
            Rejection::Method(allow) => with(
                error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
                ALLOW,
                allow,
            ),
            Rejection::Options(allow) => with(empty(StatusCode::NO_CONTENT), ALLOW, allow),
            Rejection::Head => empty(StatusCode::OK),
            Rejection::BadHead(why) => closing(error(StatusCode::BAD_REQUEST, why)),
            Rejection::LargeHead => closing(error(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "request head too large",
            )),
            Rejection::UnknownMethod => {
                closing(error(StatusCode::NOT_IMPLEMENTED, "method not implemented"))
            }
            Rejection::UnknownCoding => closing(error(
                StatusCode::NOT_IMPLEMENTED,
                "transfer-encoding not implemented",
            )),
            Rejection::BadBody => closing(error(StatusCode::BAD_REQUEST, "body broken")),
            Rejection::SlowBody => closing(error(StatusCode::REQUEST_TIMEOUT, "body too slow")),
            Rejection::TooLarge | Rejection::TooLargeToKeep(_) => {
                closing(error(StatusCode::PAYLOAD_TOO_LARGE, "body too large"))
            }
            Rejection::UnknownEncoding => {
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
            Rejection::BadEncoding => error(
                StatusCode::BAD_REQUEST,
                "body does not match its content-encoding",
            ),
            Rejection::Unreadable(_) => {
                error(StatusCode::UNPROCESSABLE_ENTITY, "body not readable")
            }
            Rejection::Unauthorized(status, _) => unauthorized(status),
            Rejection::Challenge(status, _) => {
                empty(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN))
            }
            Rejection::Unavailable(_) => retry(
                error(StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
                RETRY_LATER,
            ),
            Rejection::NotKept(_) => retry(
                error(StatusCode::SERVICE_UNAVAILABLE, "not stored"),
                RETRY_LATER,
            ),
            Rejection::Busy(_) | Rejection::NoResponseMemory(_) => {
                retry(error(StatusCode::SERVICE_UNAVAILABLE, "busy"), RETRY_SOON)
            }
        }
    }
}

/// The same answer for every reason.
fn unauthorized(status: u16) -> Response {
    let status = StatusCode::from_u16(status).expect("the verifier checked the status");
    let response = error(status, "unauthorized");
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Webhook");
        with(response, WWW_AUTHENTICATE, scheme)
    } else {
        response
    }
}

// === impl Why ===

impl Why {
    /// A reason without a hint.
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Box<Why> {
        Box::new(Why {
            reason,
            detail: detail.into(),
            hint: None,
            request: None,
        })
    }

    /// Adds what the operator can do.
    pub fn with_hint(mut self: Box<Why>, hint: impl Into<String>) -> Box<Why> {
        self.hint = Some(hint.into());
        self
    }
}
