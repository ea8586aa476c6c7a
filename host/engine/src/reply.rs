//! A handler's reply, checked: what HTTP cannot carry is an outcome, not a panic later.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::bindings::{GuestFailure, GuestReply, PayloadResult as Payload};
use landfall_model::{Failure, Outcome, Reply};

pub use landfall_egress::BODY_BYTES_MAX;
const HEADERS_MAX: usize = 100;
/// Of what a component says of its failure: it is logged and kept.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Headers that the host writes itself.
const OURS: [&str; 8] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "date",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
];

/// The outcome that the handler's answer amounts to.
pub fn outcome(answer: Result<GuestReply, GuestFailure>) -> Outcome {
    match answer {
        Ok(reply) => {
            checked(reply).map_or_else(|why| Outcome::BadReply(bounded(&why)), Outcome::Done)
        }
        Err(failure) => Outcome::from(told(failure)),
    }
}

/// What the response of a plain `wasi:http` component amounts to.
pub fn of_response(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Outcome {
    if let Some(failed) = Outcome::of_response(status.as_u16(), &headers) {
        return failed;
    }
    if headers.len() > HEADERS_MAX {
        return Outcome::BadReply(format!("{} headers: at most {HEADERS_MAX}", headers.len()));
    }
    OURS.iter().for_each(|name| drop(headers.remove(*name)));
    Outcome::Done(Reply {
        status: status.as_u16(),
        headers,
        body,
    })
}

fn told(failure: GuestFailure) -> Failure {
    match failure {
        GuestFailure::Retry(hint) => Failure::Retry {
            reason: bounded(&hint.reason),
            after: hint
                .after_ms
                .map(|ms| std::time::Duration::from_millis(ms.into())),
        },
        GuestFailure::Reject(reason) => Failure::Reject(bounded(&reason)),
    }
}

/// As much of a text as is kept.
pub fn bounded(text: &str) -> String {
    let end = (0..=TEXT_BYTES_MAX.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    text[..end].to_owned()
}

fn checked(reply: GuestReply) -> Result<Reply, String> {
    if !(200..=599).contains(&reply.status) {
        return Err(format!(
            "status {} cannot be sent: 200 to 599",
            reply.status
        ));
    }
    if reply.headers.len() > HEADERS_MAX {
        return Err(format!(
            "{} headers: at most {HEADERS_MAX}",
            reply.headers.len()
        ));
    }
    let mut headers = HeaderMap::with_capacity(reply.headers.len() + 2);
    for (name, value) in reply.headers {
        let bad = || format!("header `{}` cannot be sent", name.escape_debug());
        let parsed: HeaderName = name.parse().map_err(|_| bad())?;
        let value = HeaderValue::from_maybe_shared(Bytes::from(value)).map_err(|_| bad())?;
        if !OURS.contains(&parsed.as_str()) {
            headers.append(parsed, value);
        }
    }
    let body: Bytes = match reply.body {
        Payload::Text(text) => text.into(),
        Payload::Binary(bytes) => bytes.into(),
    };
    match body.len() <= BODY_BYTES_MAX {
        true => Ok(Reply {
            status: reply.status,
            headers,
            body,
        }),
        false => Err(format!(
            "a body of {} bytes: at most {BODY_BYTES_MAX}",
            body.len()
        )),
    }
}
