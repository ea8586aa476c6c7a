//! The answer of a handler, checked: a reply that HTTP cannot carry is an outcome of the attempt.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::bindings::{GuestFailure, GuestRejection, GuestReply, Payload};
use super::text::bounded;
use landfall_egress::BODY_BYTES_MAX;
use landfall_model::{Outcome, Reply, remove_hop_by_hop};

const HEADERS_MAX: usize = 100;
/// Name and value of one header. Common proxies accept no more.
const HEADER_BYTES_MAX: usize = 8 << 10;
/// Names and values of all headers.
const ALL_HEADERS_BYTES_MAX: usize = 64 << 10;

/// A longer name of a header is truncated in errors.
const SHOWN_CHARS_MAX: usize = 64;

/// Headers that the host writes itself, besides hop-by-hop headers.
static OUR_HEADERS: [HeaderName; 2] = [CONTENT_LENGTH, DATE];

/// Why a reply cannot be sent.
#[derive(Debug, thiserror::Error)]
enum ReplyError {
    #[error("status {0} cannot be sent: 200 to 599")]
    Status(u16),
    #[error("{0} headers: at most {HEADERS_MAX}")]
    TooManyHeaders(usize),
    #[error("header `{}` cannot be sent", .0.escape_debug())]
    Header(String),
    #[error("header `{}` has {bytes} bytes: at most {HEADER_BYTES_MAX}", .name.escape_debug())]
    LargeHeader { name: String, bytes: usize },
    #[error("headers of {0} bytes together: at most {ALL_HEADERS_BYTES_MAX}")]
    LargeHeaders(usize),
    #[error("a body of {0} bytes: at most {BODY_BYTES_MAX}")]
    TooLarge(usize),
}

/// The outcome for the answer of a handler.
pub(crate) fn outcome(answer: Result<Option<GuestReply>, GuestFailure>) -> Outcome {
    match answer {
        Ok(reply) => match reply.map(checked).transpose() {
            Ok(reply) => Outcome::Done(reply),
            Err(error) => Outcome::BadReply(bounded(&error.to_string())),
        },
        Err(failure) => failure_outcome(failure),
    }
}

/// The outcome for the answer of a responder. Its error is for the operator.
pub(crate) fn responder_outcome(answer: Result<Option<GuestReply>, String>) -> Outcome {
    match answer {
        Ok(reply) => outcome(Ok(reply)),
        Err(reason) => Outcome::reject(bounded(&reason)),
    }
}

/// The outcome for the response of a plain `wasi:http` component.
pub(crate) fn of_response(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Outcome {
    let sizes = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.len()));
    if let Err(error) = check_head(status.as_u16(), sizes) {
        return Outcome::BadReply(bounded(&error.to_string()));
    }

    remove_own(&mut headers);
    let reply = Reply {
        status: status.as_u16(),
        headers,
        body,
    };
    Outcome::of_failed_response(&reply).unwrap_or(Outcome::Done(Some(reply)))
}

fn failure_outcome(failure: GuestFailure) -> Outcome {
    match failure {
        GuestFailure::Retry(hint) => Outcome::Retry {
            reason: bounded(&hint.reason),
            after: seconds(hint.after_s),
        },
        GuestFailure::Defer(hint) => Outcome::Defer {
            reason: bounded(&hint.reason),
            after: seconds(hint.after_s),
        },
        GuestFailure::Reject(rejection) => rejected(rejection),
    }
}

/// A rejection stays one if its reply cannot be sent: the caller then gets the answer of a
/// rejection without a reply.
fn rejected(rejection: GuestRejection) -> Outcome {
    let reason = bounded(&rejection.reason);
    match rejection.reply.map(checked).transpose() {
        Ok(reply) => Outcome::Reject { reason, reply },
        Err(error) => Outcome::Reject {
            reason: bounded(&format!("{reason}; its reply cannot be sent: {error}")),
            reply: None,
        },
    }
}

fn seconds(seconds: Option<u32>) -> Option<Duration> {
    seconds.map(|seconds| Duration::from_secs(seconds.into()))
}

/// `headers`: the name of each header, and the length of its value.
fn check_head<'a>(
    status: u16,
    headers: impl Iterator<Item = (&'a str, usize)>,
) -> Result<(), ReplyError> {
    if !(200..=599).contains(&status) {
        return Err(ReplyError::Status(status));
    }

    let (mut count, mut all_bytes) = (0, 0);
    for (name, value_bytes) in headers {
        let bytes = name.len() + value_bytes;
        if bytes > HEADER_BYTES_MAX {
            let name = name.chars().take(SHOWN_CHARS_MAX).collect();
            return Err(ReplyError::LargeHeader { name, bytes });
        }
        count += 1;
        all_bytes += bytes;
    }

    if count > HEADERS_MAX {
        return Err(ReplyError::TooManyHeaders(count));
    }
    if all_bytes > ALL_HEADERS_BYTES_MAX {
        return Err(ReplyError::LargeHeaders(all_bytes));
    }
    Ok(())
}

fn checked(reply: GuestReply) -> Result<Reply, ReplyError> {
    let sizes = reply.headers.iter();
    check_head(
        reply.status,
        sizes.map(|(name, value)| (name.as_str(), value.len())),
    )?;

    let mut headers = HeaderMap::with_capacity(reply.headers.len() + 2);
    for (name, value) in reply.headers {
        let Some((parsed, value)) = parse_header(&name, value) else {
            return Err(ReplyError::Header(name));
        };
        headers.append(parsed, value);
    }
    remove_own(&mut headers);

    let body: Bytes = match reply.body {
        Payload::Text(text) => text.into(),
        Payload::Binary(bytes) => bytes.into(),
    };
    if body.len() > BODY_BYTES_MAX {
        return Err(ReplyError::TooLarge(body.len()));
    }
    Ok(Reply {
        status: reply.status,
        headers,
        body,
    })
}

fn remove_own(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in &OUR_HEADERS {
        headers.remove(name);
    }
}

fn parse_header(name: &str, value: String) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_maybe_shared(Bytes::from(value)).ok()?;
    Some((name.parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(headers: Vec<(String, String)>) -> Option<String> {
        let sizes = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.len()));
        check_head(200, sizes).err().map(|error| error.to_string())
    }

    fn headers(count: usize, bytes: usize) -> Vec<(String, String)> {
        let header = ("name".to_owned(), "x".repeat(bytes - "name".len()));
        vec![header; count]
    }

    #[test]
    fn header_limits_are_named() {
        assert_eq!(error_of(headers(8, HEADER_BYTES_MAX)), None);
        assert_eq!(error_of(headers(100, 600)), None);
        for (headers, expected) in [
            (
                headers(1, HEADER_BYTES_MAX + 1),
                "header `name` has 8193 bytes: at most 8192",
            ),
            (
                headers(9, HEADER_BYTES_MAX),
                "headers of 73728 bytes together: at most 65536",
            ),
            (headers(101, 10), "101 headers: at most 100"),
        ] {
            assert_eq!(error_of(headers).as_deref(), Some(expected));
        }
    }
}
