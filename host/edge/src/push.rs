//! Receives the messages that a broker pushes. The token of the call is verified like that of any
//! sender.

use std::net::SocketAddr;

use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;

use landfall_dispatch::PushAnswer;
use landfall_verify::Verdict;

use super::activity::OnConnection;
use super::authenticate;
use super::caller::Caller;
use super::edge::Edge;
use super::rejection::{Rejection, Why};
use super::target::AuthTarget;
use super::{answer, head, read_body, refuse};

/// An envelope in base64, in JSON.
const BODY_MAX: usize = 12 << 20;
/// The name in records and counters. No hook has such a name.
const NAME: &str = "_queue";

/// Handles every call of the broker.
pub(crate) async fn push(
    edge: &Edge,
    request: Request<Incoming>,
    peer: SocketAddr,
    connection: OnConnection,
) -> Response {
    let (head, body) = request.into_parts();
    let caller = Caller::of(&head, &body, peer, connection, &edge.trusted_proxies).named(NAME);
    match handle(edge, &caller, head, body).await {
        Ok(response) => response,
        Err(rejection) => refuse::refuse(edge, rejection.into(), &caller, None).response,
    }
}

async fn handle(
    edge: &Edge,
    caller: &Caller,
    head: Parts,
    mut body: Incoming,
) -> Result<Response, Rejection> {
    head::check(&head)?;
    if head.method != Method::POST {
        return Err(Rejection::Method(http::HeaderValue::from_static("POST")));
    }

    let auth = AuthTarget {
        name: NAME,
        verifier: edge.push.as_ref().ok_or(Rejection::UnknownPath)?,
        keys: &edge.push_keys,
        client: caller.address,
    };
    let delivery_count = delivery_count(&head);
    let keys = authenticate::keys(edge, auth);
    // The token does not cover the body, so it is verified before the body is read.
    let request = read_body::without_body(head);
    let Verdict::Verified(_) = authenticate::authenticate(edge, auth, request, &keys, None).await?
    else {
        return Err(Rejection::Unavailable(Why::new(
            "unavailable",
            "an ownership check on the path of the queue",
        )));
    };
    let (body, _, _reservation) =
        read_body::read(edge, BODY_MAX, &mut body, &caller.connection, None).await?;
    let status = match edge.dispatcher.receive_push(&body, delivery_count).await {
        PushAnswer::Done => StatusCode::NO_CONTENT,
        // The broker redelivers the message. Cloud Tasks counts this apart from calls without an
        // answer.
        PushAnswer::Redeliver => StatusCode::TOO_MANY_REQUESTS,
    };

    Ok(answer::empty(status))
}

/// The number of deliveries without an answer, this one included.
///
/// Source: cloud.google.com/tasks/docs/creating-http-target-tasks#handler.
fn delivery_count(head: &Parts) -> u32 {
    let tries = count(&head.headers, "x-cloudtasks-taskretrycount");
    let answered = count(&head.headers, "x-cloudtasks-taskexecutioncount");
    tries.saturating_sub(answered).saturating_add(1)
}

/// Zero without such a header.
fn count(headers: &HeaderMap, name: &str) -> u32 {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}
