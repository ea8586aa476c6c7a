//! Sends one request over a pool of connections and reads the whole response.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;

use super::collect::{CollectError, collect_at_most};
use super::connector::ConnectError;
use super::exchange::{OutgoingError, Received};
use super::pool::Pool;
use super::streamed::Streamed;
use landfall_model::MemoryBudget;

/// Sends a request as it is. The response counts as memory of the attempt.
pub(crate) async fn send(
    pool: &Pool,
    request: http::Request<Full<Bytes>>,
    memory: Option<&MemoryBudget>,
    body_bytes_max: usize,
) -> Result<Received, OutgoingError> {
    let response = pool.request(request).await.map_err(classify)?;
    let (head, body) = response.into_parts();
    let collected = collect_at_most(body, memory, body_bytes_max).await;
    let (body, held) = collected.map_err(|error| match error {
        CollectError::TooLarge => {
            OutgoingError::Limit(format!("the response has more than {body_bytes_max} bytes"))
        }
        CollectError::Memory(error) => {
            OutgoingError::Limit(format!("the response is too large: {error}"))
        }
        CollectError::Broken(error) => {
            OutgoingError::Interrupted(format!("the response broke off: {error}"))
        }
    })?;
    Ok(Received {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        held: held.map(Arc::new),
    })
}

/// Sends a request as it is. Returns when the head of the response has arrived.
pub(crate) async fn open(
    pool: &Pool,
    request: http::Request<Full<Bytes>>,
) -> Result<Streamed, OutgoingError> {
    let response = pool.request(request).await.map_err(classify)?;
    let (head, body) = response.into_parts();
    let body = body
        .map_err(|error| OutgoingError::Interrupted(format!("the response broke off: {error}")));
    Ok(Streamed::new(head.status.as_u16(), body.boxed()))
}

/// Classifies an error by its cause.
fn classify(error: legacy::Error) -> OutgoingError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    let mut last = error.to_string();
    let is_connect = error.is_connect();
    while let Some(current) = cause {
        if let Some(connect) = current.downcast_ref::<ConnectError>() {
            return match connect {
                ConnectError::Denied { host, address } => OutgoingError::DeniedAddress {
                    host: host.clone(),
                    address: *address,
                },
                ConnectError::Unresolved { .. } => OutgoingError::Unresolved(connect.to_string()),
                ConnectError::Unreachable { .. } => OutgoingError::Unreachable(connect.to_string()),
            };
        }

        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return if is_connect {
                OutgoingError::Tls(format!("no trusted TLS session: {tls}"))
            } else {
                OutgoingError::Interrupted(format!("the TLS session broke: {tls}"))
            };
        }

        last = current.to_string();
        cause = inner(current);
    }
    if is_connect {
        return OutgoingError::Unreachable(format!("no connection: {last}"));
    }
    OutgoingError::Interrupted(format!("the exchange failed: {last}"))
}

/// What an error wraps. An `io::Error` hides what it was made from behind the source of that.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref())
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
