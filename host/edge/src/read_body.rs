//! Reads request bodies within their limits.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use http::request::Parts;
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use landfall_dispatch::timeout;
use landfall_verify::{StreamingMac, Unverified};

use super::activity::OnConnection;
use super::bodies::{BodyBuffer, BodyReservation};
use super::edge::Edge;
use super::rejection::Rejection;

const DRAIN_BYTES_MAX: usize = 16 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Whether the rest of a body is worth reading: it is limited, and the client does not wait for a
/// `100 Continue`.
pub(crate) fn is_worth_draining(head: &Parts, body: &Incoming) -> bool {
    body.size_hint().lower() <= DRAIN_BYTES_MAX as u64 && !head.headers.contains_key(header::EXPECT)
}

/// Reads and drops the rest of a body, so that the connection can be reused. If this does not reach
/// the end of the body, the connection is closed after the answer.
pub(crate) async fn drain(body: &mut Incoming) {
    let rest = Limited::new(body, DRAIN_BYTES_MAX);
    let reading = async {
        let mut rest = std::pin::pin!(rest);
        while let Some(Ok(_)) = rest.frame().await {}
    };
    tokio::time::timeout(DRAIN_TIME_MAX, reading).await.ok();
}

/// Reads a body of at most `max` bytes, within `body_timeout` and with at most `head_timeout`
/// between two pieces. `connection` knows what the chunks of the body announce.
pub(crate) async fn read(
    edge: &Edge,
    max: usize,
    body: &mut Incoming,
    connection: &OnConnection,
    mac: Option<StreamingMac>,
) -> Result<(Bytes, Option<StreamingMac>, BodyReservation), Rejection> {
    if body.size_hint().lower() > max as u64 {
        return Err(Rejection::TooLarge);
    }

    let reading = pin!(async {
        tokio::select! {
            read = pieces(edge, max, body, mac) => read,
            () = connection.announced_more_than(max) => Err(Rejection::TooLarge),
        }
    });
    timeout(edge.limits.body_timeout, reading)
        .await
        .unwrap_or(Err(Rejection::SlowBody))
}

/// `mac` receives each piece.
async fn pieces(
    edge: &Edge,
    max: usize,
    body: &mut Incoming,
    mut mac: Option<StreamingMac>,
) -> Result<(Bytes, Option<StreamingMac>, BodyReservation), Rejection> {
    // Most bodies arrive in one piece, which is not copied.
    let (mut first, mut of_first) = (Bytes::new(), edge.bodies.reserve());
    let mut joined: Option<BodyBuffer> = None;
    loop {
        let next = timeout(edge.limits.head_timeout, pin!(body.frame())).await;
        let frame = match next.map_err(|_| Rejection::SlowBody)? {
            None => break,
            Some(frame) => frame.map_err(|_| Rejection::BadBody)?,
        };

        let Ok(piece) = frame.into_data() else {
            continue;
        };

        let joined_bytes = joined.as_ref().map_or(0, BodyBuffer::len);
        let bytes = first.len() + joined_bytes + piece.len();
        if bytes > max {
            return Err(Rejection::TooLarge);
        }

        if let Some(mac) = &mut mac {
            mac.update(&piece);
        }

        match &mut joined {
            Some(joined) => joined.extend(&piece)?,
            None if first.is_empty() => {
                of_first.grow_to(piece.len())?;
                first = piece;
            }
            None => {
                let mut both = BodyBuffer::new(edge.bodies.reserve(), max);
                both.extend(&std::mem::take(&mut first))?;
                of_first.shrink_to(0);
                both.extend(&piece)?;
                joined = Some(both);
            }
        }
    }

    let (body, reservation) = match joined {
        None => (first, of_first),
        Some(joined) => joined.into_bytes(),
    };

    Ok((body, mac, reservation))
}

/// The request without its body.
pub(crate) fn without_body(head: Parts) -> Unverified {
    Unverified {
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        method: head.method,
        params: Vec::new(),
        headers: head.headers,
        body: Bytes::new(),
        decoded: None,
    }
}
