//! The yardsticks of `landfall bench`: the same check and the same work in plain axum handlers, and nothing else.

use std::future::Future;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::Sha256;

/// What the bundled `echo` answers.
#[derive(Serialize)]
struct Answer<'a> {
    hook: &'a str,
    event_id: &'a str,
    received: &'a RawValue,
}

/// `POST /bench`: HMAC-SHA256 of the body in `x-signature`, JSON in, JSON out.
pub fn plain_router(secret: Vec<u8>) -> Router {
    Router::new()
        .route("/bench", post(plain))
        .with_state(secret)
}

/// `POST /bench`: the same check, then `relay` passes the body on; 200 where that was answered with 2xx.
pub fn plain_relay<F>(
    secret: Vec<u8>,
    relay: impl Fn(HeaderMap, Bytes) -> F + Clone + Send + Sync + 'static,
) -> Router
where
    F: Future<Output = anyhow::Result<u16>> + Send + 'static,
{
    let handler = async move |headers: HeaderMap, body: Bytes| {
        if !is_signed(&secret, &headers, &body) {
            return StatusCode::UNAUTHORIZED;
        }
        match relay(headers, body).await {
            Ok(200..300) => StatusCode::OK,
            _ => StatusCode::BAD_GATEWAY,
        }
    };
    Router::new().route("/bench", post(handler))
}

async fn plain(State(secret): State<Vec<u8>>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_signed(&secret, &headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match serde_json::from_slice::<&RawValue>(&body) {
        Ok(received) => axum::Json(Answer {
            hook: "bench",
            event_id: "-",
            received,
        })
        .into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn is_signed(secret: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let given = headers
        .get("x-signature")
        .and_then(|value| value.to_str().ok()?.strip_prefix("sha256="));
    let Some(signature) = given.and_then(|text| hex::decode(text).ok()) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}
