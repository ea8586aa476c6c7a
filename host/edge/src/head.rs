//! What must hold for every request head before anything else is looked at. hyper is more lenient than we may be.

use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Version};

use super::answer::Stop;
use landfall_model::has_dot_segment;

/// Whether the connection must end with this request. A chunked one may have carried a content-length too, which hyper
/// has dropped by now; two framings are how one request is smuggled inside another (RFC 9112 section 6.1), so whatever
/// follows on this connection is not read.
pub fn is_last(head: &Parts) -> bool {
    head.headers.contains_key(TRANSFER_ENCODING)
}

/// Of target, names and values together. hyper's buffer stops what is much larger before it is parsed.
const BYTES_MAX: usize = 64 << 10;

/// What is wrong with the head, if anything.
pub fn check(head: &Parts) -> Result<(), Stop> {
    if bytes(head) > BYTES_MAX {
        return Err(Stop::LargeHead);
    }
    check_meaning(head).map_err(Stop::BadHead)
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

fn check_meaning(head: &Parts) -> Result<(), &'static str> {
    let hosts = head.headers.get_all(HOST).iter().count();
    if head.version == Version::HTTP_11 && hosts == 0 {
        return Err("host header missing");
    }
    if hosts > 1 {
        return Err("more than one host header");
    }
    // A further coding would stay in the body, which would be read as something else than was sent.
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| {
        value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked")
    };
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
    // A server behind a handler may resolve what this one does not.
    if has_dot_segment(path) {
        return Err("a segment of the path is `.` or `..`");
    }
    Ok(())
}
