//! Checks every request head before anything else. hyper accepts more than a webhook target may.

use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Version};

use landfall_model::has_dot_segment;

use super::rejection::Rejection;

/// Of target, header names and header values together. hyper refuses much larger heads before it
/// parses them.
const BYTES_MAX: usize = 64 << 10;

/// Whether the connection must end with this request. A chunked request may also have had a
/// `Content-Length`, which hyper has removed. Two framings allow request smuggling (RFC 9112
/// section 6.1), so nothing after this request is read.
pub(crate) fn is_last(head: &Parts) -> bool {
    head.headers.contains_key(TRANSFER_ENCODING)
}

pub(crate) fn check(head: &Parts) -> Result<(), Rejection> {
    if bytes(head) > BYTES_MAX {
        return Err(Rejection::LargeHead);
    }

    check_meaning(head).map_err(Rejection::BadHead)
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
    target + headers.sum::<usize>()
}

fn is_chunked(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(b"chunked")
}

fn check_meaning(head: &Parts) -> Result<(), &'static str> {
    let hosts = head.headers.get_all(HOST).iter().count();
    if head.version == Version::HTTP_11 && hosts == 0 {
        return Err("host header missing");
    }

    if hosts > 1 {
        return Err("more than one host header");
    }

    // Another coding would stay in the body, which would then differ from what was sent.
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|first| !is_chunked(first)) || codings.next().is_some() {
        return Err("transfer-encoding other than chunked");
    }

    if head.method == Method::CONNECT {
        return Err("this is not a proxy");
    }

    match (head.uri.authority(), head.headers.get(HOST)) {
        (Some(target), Some(host)) if target.as_str().as_bytes() != host.as_bytes() => {
            return Err("target and host header disagree");
        }
        _ => {}
    }

    let path = head.uri.path();
    if path.contains("%00") {
        return Err("NUL in the path");
    }

    // A server that a handler calls may resolve such segments.
    if has_dot_segment(path) {
        return Err("a segment of the path is `.` or `..`");
    }

    Ok(())
}
