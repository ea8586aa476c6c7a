//! What the host offers, as the rest of the crate calls it. `testing::imports` is the same for native tests.

use crate::Payload;
use crate::bindings::landfall::hook::{
    emit as host_emit, http as host_http, kv as host_kv, log as host_log,
    settings as host_settings, table as host_table,
};
use crate::emit::{Emission, EmitError};
use crate::exports::millis;
use crate::http::{HttpError, Request, Response};
use crate::kv::KvError;
use crate::log::Level;
use crate::table::TableError;

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

pub fn append(table: &str, row: &str) -> Result<(), TableError> {
    host_table::append(table, row).map_err(|error| match error {
        host_table::TableError::Denied(text) => TableError::Denied(text),
        host_table::TableError::Invalid(text) => TableError::Invalid(text),
        host_table::TableError::Limit(text) => TableError::Limit(text),
        host_table::TableError::Other(text) => TableError::Other(text),
    })
}

pub fn kv_get(key: &str) -> Result<Option<Payload>, KvError> {
    Ok(host_kv::get(key).map_err(kv_error)?.map(Into::into))
}

pub fn kv_set(key: &str, value: Payload, expires_in_s: Option<u32>) -> Result<(), KvError> {
    host_kv::set(key, &value.into(), expires_in_s).map_err(kv_error)
}

pub fn kv_delete(key: &str) -> Result<(), KvError> {
    host_kv::delete(key).map_err(kv_error)
}

pub fn kv_list_keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
    host_kv::list_keys(prefix, after, limit).map_err(kv_error)
}

pub fn kv_compare_and_set(
    key: &str,
    expected: Option<Payload>,
    value: Payload,
) -> Result<bool, KvError> {
    let expected = expected.map(Into::into);
    host_kv::compare_and_set(key, expected.as_ref(), &value.into(), None).map_err(kv_error)
}

/// The host keeps to whole numbers that both sides can hold.
pub fn kv_increment(key: &str, by: i32) -> Result<i64, KvError> {
    Ok(host_kv::increment(key, by).map_err(kv_error)? as i64)
}

fn kv_error(error: host_kv::KvError) -> KvError {
    match error {
        host_kv::KvError::Invalid(text) => KvError::Invalid(text),
        host_kv::KvError::Limit(text) => KvError::Limit(text),
        host_kv::KvError::Other(text) => KvError::Other(text),
    }
}

pub fn emit(emission: Emission) -> Result<String, EmitError> {
    let Emission {
        hook,
        headers,
        body,
        key,
        delay,
    } = emission;
    let emission = host_emit::Emission {
        hook,
        headers,
        body: body.into(),
        key,
        delay_ms: delay.map(millis),
    };
    host_emit::emit(&emission).map_err(|error| match error {
        host_emit::EmitError::Denied(text) => EmitError::Denied(text),
        host_emit::EmitError::Invalid(text) => EmitError::Invalid(text),
        host_emit::EmitError::Limit(text) => EmitError::Limit(text),
        host_emit::EmitError::Other(text) => EmitError::Other(text),
    })
}
