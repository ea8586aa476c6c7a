//! What the host offers to every handler, as the rest of the crate calls it. `testing::imports` is the same for native tests. A
//! capability that needs a grant has both in its own file.

use crate::bindings::landfall::hook::{
    http as host_http, log as host_log, settings as host_settings,
};
use crate::exports::millis;
use crate::http::{HttpError, Request, Response};
use crate::log::Level;

pub fn log(level: Level, text: &str) {
    let level = match level {
        Level::Trace => host_log::Level::Trace,
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warn => host_log::Level::Warn,
        Level::Error => host_log::Level::Error,
    };
    host_log::log(level, text);
}

pub fn setting(key: &str) -> Option<String> {
    host_settings::get(key)
}

pub fn settings() -> String {
    host_settings::all()
}

pub fn send(request: Request) -> Result<Response, HttpError> {
    let request = host_http::Request {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.map(Into::into),
        timeout_ms: request.timeout.map(millis),
    };
    let response = host_http::send(&request).map_err(http_error)?;
    Ok(Response {
        status: response.status,
        headers: response.headers,
        body: response.body.into(),
    })
}

fn http_error(error: host_http::HttpError) -> HttpError {
    match error {
        host_http::HttpError::Denied(text) => HttpError::Denied(text),
        host_http::HttpError::Invalid(text) => HttpError::Invalid(text),
        host_http::HttpError::Unresolved(text) => HttpError::Unresolved(text),
        host_http::HttpError::Connection(text) => HttpError::Connection(text),
        host_http::HttpError::Tls(text) => HttpError::Tls(text),
        host_http::HttpError::Timeout(text) => HttpError::Timeout(text),
        host_http::HttpError::Limit(text) => HttpError::Limit(text),
        host_http::HttpError::Other(text) => HttpError::Other(text),
    }
}
