//! Outbound HTTP calls with whole bodies.
//!
//! The host decides which addresses may be reached, adds the credentials that the operator
//! configured, and follows only the redirects that the operator allows. Without `[allow] http`,
//! each call is denied.
//!
//! If a request has no `idempotency-key`, the host adds one. It is the same on every attempt, and
//! different for each call of an attempt.

use crate::event::header;
use crate::excerpt::excerpt;
use crate::{Failure, Payload, imports};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Absolute, `http` or `https`.
    pub url: String,
    /// The host writes `host`, `content-length`, `transfer-encoding`, `connection` and other
    /// hop-by-hop headers. A request that sets one is [`HttpError::Invalid`].
    pub headers: Vec<(String, String)>,
    /// `None`: no body.
    pub body: Option<Payload>,
    /// The time for the whole call, at most the rest of the attempt. `None`: 30 s. A part of a
    /// millisecond is rounded up.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request of any method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            timeout: None,
        }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A `PUT`.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A `DELETE`.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a header. Headers of the same name stay.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Payload>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a JSON body and its content type.
    ///
    /// # Panics
    ///
    /// If `value` cannot be JSON, such as a map with keys that are not text.
    #[must_use]
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        let body = serde_json::to_string(value).expect("a request is made of what JSON can hold");
        self.header("content-type", "application/json").body(body)
    }

    /// Sets the body of an HTML form and its content type.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("{}={}", quoted(key), quoted(value)))
            .collect();
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(pairs.join("&"))
    }

    /// Sets the time for this call.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request and waits for the whole response. Every status is a response, also 404 and
    /// 500.
    pub fn send(self) -> Result<Response, HttpError> {
        imports::send(self)
    }
}

/// Sends several requests, up to eight at a time. The results have the order of the requests. Each
/// request is sent whatever the results of the others are.
pub fn send_all(requests: impl IntoIterator<Item = Request>) -> Vec<Result<Response, HttpError>> {
    imports::send_all(requests.into_iter().collect())
}

/// `application/x-www-form-urlencoded` of one key or value.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                out.push(byte.into())
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Any status, also 404 and 500.
    pub status: u16,
    /// Names are in lower case. Repeated names are kept.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Payload,
}

impl Response {
    /// The body as a type of yours.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.body.json()
    }

    /// The body, if it is valid UTF-8.
    pub fn text(&self) -> Option<&str> {
        self.body.as_text()
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The response, or the failure that follows from its status.
    ///
    /// 408, 429 and 5xx are a retry, after `Retry-After` seconds if the header is there. Other 4xx
    /// and redirects, which the host does not follow, are a reject. The reason has the status and,
    /// of a body that is text, the first 200 characters.
    pub fn error_for_status(self) -> Result<Self, Failure> {
        match self.status {
            408 | 429 | 500.. => Err(self.retry()),
            300..500 => Err(Failure::reject(self.sentence())),
            _ => Ok(self),
        }
    }

    fn retry(&self) -> Failure {
        let seconds = self
            .header("retry-after")
            .and_then(|value| value.trim().parse().ok());
        Failure::Retry {
            reason: self.sentence(),
            after: seconds.map(Duration::from_secs),
        }
    }

    fn sentence(&self) -> String {
        let sentence = format!("the call was answered with status {}", self.status);
        match self.text().map(excerpt).unwrap_or_default() {
            body if body.is_empty() => sentence,
            body => format!("{sentence}: {body}"),
        }
    }
}

/// Why there is no response. The texts are meant for a log line.
///
/// `?` makes a [`Failure::Retry`] of every case: the receiver may recover, and the operator can
/// correct what is denied or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    /// The URL is not in `[allow] http`, or its address may not be reached.
    Denied(String),
    /// The request itself is wrong: URL, method, header.
    Invalid(String),
    /// A credential of this call has no value now.
    Unavailable(String),
    /// The name does not resolve.
    Unresolved(String),
    /// No connection could be made.
    Unreachable(String),
    /// The TLS session is not trusted.
    Tls(String),
    /// The connection broke before the response was complete.
    Interrupted(String),
    /// There was no complete response within the time.
    Timeout(String),
    /// The request or response is too large, or the attempt makes too many calls.
    Limit(String),
    /// Any other cause.
    Other(String),
}

impl HttpError {
    /// The name of the case: `denied`, `timeout`.
    pub fn name(&self) -> &'static str {
        self.parts().0
    }

    /// Whether it is certain that nothing was sent. Otherwise the receiver may have acted.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Denied(_)
            | Self::Invalid(_)
            | Self::Unavailable(_)
            | Self::Unresolved(_)
            | Self::Unreachable(_)
            | Self::Tls(_) => true,
            Self::Interrupted(_) | Self::Timeout(_) | Self::Limit(_) | Self::Other(_) => false,
        }
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Denied(text) => ("denied", text),
            Self::Invalid(text) => ("invalid", text),
            Self::Unavailable(text) => ("unavailable", text),
            Self::Unresolved(text) => ("unresolved", text),
            Self::Unreachable(text) => ("unreachable", text),
            Self::Tls(text) => ("tls", text),
            Self::Interrupted(text) => ("interrupted", text),
            Self::Timeout(text) => ("timeout", text),
            Self::Limit(text) => ("limit", text),
            Self::Other(text) => ("other", text),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, text) = self.parts();
        write!(f, "call failed ({name}): {text}")
    }
}

impl Error for HttpError {}
