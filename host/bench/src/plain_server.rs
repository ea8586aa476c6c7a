//! The server that Landfall is compared with: the same signature check and the same work in plain
//! axum.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::group_commit::GroupCommit;

/// What the bundled `echo` answers.
#[derive(Serialize)]
struct Answer<'a> {
    hook: &'a str,
    event_id: &'a str,
    received: &'a RawValue,
}

#[derive(Clone)]
struct Forwarder {
    secret: Vec<u8>,
    client: reqwest::Client,
    url: String,
}

#[derive(Clone)]
struct Store {
    secret: Vec<u8>,
    writer: GroupCommit,
}

/// Serves `POST /bench` until the process is killed.
pub(crate) async fn serve(
    listen: SocketAddr,
    secret: &Path,
    forward_to: Option<String>,
    store: Option<&Path>,
) -> anyhow::Result<()> {
    let secret =
        std::fs::read(secret).with_context(|| format!("{} cannot be read", secret.display()))?;
    let router = match (forward_to, store) {
        (None, None) => Router::new()
            .route("/bench", post(answer))
            .with_state(secret),
        (None, Some(file)) => Router::new()
            .route("/bench", post(store_body))
            .with_state(Store {
                secret,
                writer: GroupCommit::open(file)?,
            }),
        (Some(url), _) => Router::new()
            .route("/bench", post(forward))
            .with_state(Forwarder {
                secret,
                client: reqwest::Client::new(),
                url,
            }),
    };

    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?
        .tap_io(|stream| {
            stream.set_nodelay(true).ok();
        });
    Ok(axum::serve(listener, router).await?)
}

async fn answer(State(secret): State<Vec<u8>>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_signed(&secret, &headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }

    match serde_json::from_slice::<&RawValue>(&body) {
        Ok(received) => Json(Answer {
            hook: "bench",
            event_id: "-",
            received,
        })
        .into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn forward(State(to): State<Forwarder>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !is_signed(&to.secret, &headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }

    match send(&to, &headers, body).await {
        Ok(status) if status.is_success() => StatusCode::OK,
        _ => StatusCode::BAD_GATEWAY,
    }
}

async fn store_body(State(to): State<Store>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !is_signed(&to.secret, &headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }

    match to.writer.store(body).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Returns the status of an answer that was read to its end.
async fn send(to: &Forwarder, headers: &HeaderMap, body: Bytes) -> reqwest::Result<StatusCode> {
    let mut request = to
        .client
        .post(&to.url)
        .header("idempotency-key", uuid::Uuid::now_v7().to_string())
        .body(body);
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        request = request.header(header::CONTENT_TYPE, content_type);
    }

    let response = request.send().await?;
    let status = response.status();
    response.bytes().await?;
    Ok(status)
}

fn is_signed(secret: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let signature = headers
        .get("x-signature")
        .and_then(|value| value.to_str().ok()?.strip_prefix("sha256="))
        .and_then(|text| hex::decode(text).ok());
    let Some(signature) = signature else {
        return false;
    };

    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}
