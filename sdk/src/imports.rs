//! The imports of every handler, as the rest of the crate calls them. `testing::imports` is the
//! same for native tests. A capability that needs a grant has both in its own file.

use crate::bindings::landfall::hook::{log as host_log, settings as host_settings};
use crate::bindings::landfall::http::http as host_http;
use crate::http::{HttpError, Request, Response};
use crate::log::Level;
use crate::time::whole_milliseconds;

pub(crate) fn log(level: Level, text: &str) {
    let level = match level {
        Level::Trace => host_log::Level::Trace,
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warn => host_log::Level::Warn,
        Level::Error => host_log::Level::Error,
    };
    host_log::log(level, text);
}

pub(crate) fn setting(key: &str) -> Option<String> {
    host_settings::get(key)
}

pub(crate) fn settings() -> String {
    host_settings::all()
}

pub(crate) fn send(request: Request) -> Result<Response, HttpError> {
    Ok(host_http::send(&request.into())?.into())
}

pub(crate) fn send_all(requests: Vec<Request>) -> Vec<Result<Response, HttpError>> {
    let requests: Vec<_> = requests.into_iter().map(Into::into).collect();
    host_http::send_all(&requests)
        .into_iter()
        .map(|result| Ok(result?.into()))
        .collect()
}

impl From<Request> for host_http::Request {
    fn from(request: Request) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body.map(Into::into),
            timeout_ms: request.timeout.map(whole_milliseconds),
        }
    }
}

impl From<host_http::Response> for Response {
    fn from(response: host_http::Response) -> Self {
        Self {
            status: response.status,
            headers: response.headers,
            body: response.body.into(),
        }
    }
}

impl From<host_http::HttpError> for HttpError {
    fn from(error: host_http::HttpError) -> Self {
        match error {
            host_http::HttpError::Denied(text) => Self::Denied(text),
            host_http::HttpError::Invalid(text) => Self::Invalid(text),
            host_http::HttpError::Unavailable(text) => Self::Unavailable(text),
            host_http::HttpError::Unresolved(text) => Self::Unresolved(text),
            host_http::HttpError::Unreachable(text) => Self::Unreachable(text),
            host_http::HttpError::Tls(text) => Self::Tls(text),
            host_http::HttpError::Interrupted(text) => Self::Interrupted(text),
            host_http::HttpError::Timeout(text) => Self::Timeout(text),
            host_http::HttpError::Limit(text) => Self::Limit(text),
            host_http::HttpError::Other(text) => Self::Other(text),
        }
    }
}
