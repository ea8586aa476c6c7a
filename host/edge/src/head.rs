//! Checks every request head before anything else. hyper accepts more than a webhook target may.

use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};

use landfall_model::has_dot_segment;

use super::host;
use super::rejection::Rejection;

/// Of method, target, header names and header values together. hyper refuses much larger heads
/// before it parses them.
const BYTES_MAX: usize = 64 << 10;
/// hyper has the same limit for HTTP/1.
const HEADERS_MAX: usize = 100;
/// Twice the length of the longest registered method.
const METHOD_BYTES_MAX: usize = 32;

/// Whether the connection must end with this request. A chunked request may also have had a
/// `Content-Length`, which hyper has removed. Two framings allow request smuggling (RFC 9112
/// section 6.1), so nothing after this request is read.
pub(crate) fn is_last(head: &Parts) -> bool {
    head.headers.contains_key(TRANSFER_ENCODING)
}

pub(crate) fn check(head: &Parts) -> Result<(), Rejection> {
    if bytes(head) > BYTES_MAX || head.headers.len() > HEADERS_MAX {
        return Err(Rejection::LargeHead);
    }

    if head.method.as_str().len() > METHOD_BYTES_MAX {
        return Err(Rejection::UnknownMethod);
    }

    check_transfer_encoding(&head.headers)?;
    check_host(head)
        .and_then(|()| check_target(head))
        .map_err(Rejection::BadHead)
}

fn bytes(head: &Parts) -> usize {
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    head.method.as_str().len() + target + headers.sum::<usize>()
}

/// Another coding would stay in the body, which would then differ from what was sent. hyper has
/// checked that the last coding is `chunked`.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = lines.next() else {
        return Ok(());
    };

    if is_chunked(first.as_bytes()) && lines.next().is_none() {
        return Ok(());
    }

    let is_known = headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .all(|coding| is_chunked(coding) || coding.trim_ascii().is_empty());
    Err(if is_known {
        Rejection::BadHead("transfer-encoding other than one `chunked`")
    } else {
        Rejection::UnknownCoding
    })
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

fn check_host(head: &Parts) -> Result<(), &'static str> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("more than one host header");
    }

    if host.is_some_and(|host| !host::is_host(host.as_bytes())) {
        return Err("host header invalid");
    }

    let authority = head.uri.authority();
    if let Some(authority) = authority {
        let authority = authority.as_str().as_bytes();
        if !host::is_host(authority) || host::is_empty(authority) {
            return Err("authority invalid");
        }
        if let Some(host) = host
            && !host::is_same(authority, host.as_bytes(), head.uri.scheme())
        {
            return Err("target and host header disagree");
        }
    }

    match head.version {
        // Also if the target is a URL.
        Version::HTTP_11 if host.is_none() => Err("host header missing"),
        Version::HTTP_2 if authority.is_none() && host.is_none_or(is_empty) => {
            Err("authority missing")
        }
        _ => Ok(()),
    }
}

fn is_empty(host: &HeaderValue) -> bool {
    host::is_empty(host.as_bytes())
}

fn check_target(head: &Parts) -> Result<(), &'static str> {
    let uri = &head.uri;
    if head.method == Method::CONNECT {
        return Err("this is not a proxy");
    }

    match uri.scheme() {
        Some(scheme) if *scheme != *"http" && *scheme != *"https" => {
            return Err("scheme other than http and https");
        }
        None if uri.authority().is_some() => return Err("the target has no path"),
        _ => {}
    }

    let path = uri.path();
    if path == "*" && head.method != Method::OPTIONS {
        return Err("the target `*` is only for OPTIONS");
    }

    // HTTP/2 has the path alone; a URL may have a query without one.
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if head.version == Version::HTTP_2 && !target.starts_with(['/', '*']) {
        return Err("the path does not begin with `/`");
    }

    if path.contains("%00") {
        return Err("NUL in the path");
    }

    // A server that a handler calls may resolve such segments.
    if has_dot_segment(path) {
        return Err("a segment of the path is `.` or `..`");
    }

    Ok(())
}
