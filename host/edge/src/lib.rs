//! The public listener: receives requests, authenticates and rejects them, and hands events to
//! `dispatch`.
//!
//! A request goes through `listener` (with `connections`, `activity` and `io_timeouts`), `service`,
//! `receive`, `head`, `read_body`, `decode` and `authenticate`. `answer` builds the answers of hooks.
//! `rejection` turns each rejection into a status, and `refuse` records it.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod activity;
mod advice;
mod answer;
mod authenticate;
mod bodies;
mod caller;
mod challenge;
mod chunk_sizes;
mod client;
mod connections;
mod deadline;
mod decode;
mod edge;
mod excerpt;
mod executor;
mod head;
mod hints;
mod host;
mod io_timeouts;
mod listener;
mod push;
mod push_auth;
mod read_body;
mod receive;
mod refuse;
mod rejection;
mod request_log;
mod responses;
mod send_rate;
mod sending;
mod service;
mod target;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use landfall_model::EdgeLimits;
use tokio::net::TcpListener;

pub use edge::{Edge, EdgeSetup};
pub use refuse::refuse_admin;
pub use rejection::Why;

use connections::Limited;
use listener::{OnBroken, Rules};
use service::PublicService;

/// Serves hooks until `stop` returns, then waits for running requests, for at most `drain`.
pub async fn serve(
    listener: TcpListener,
    edge: &Arc<Edge>,
    http2: bool,
    stop: impl Future<Output = ()>,
    drain: Duration,
) {
    let recorder = edge.clone();
    let on_broken: OnBroken =
        Arc::new(move |broken, peer| refuse::refuse_broken(&recorder, broken, peer));

    let metrics = edge.metrics.clone();
    let rules = Rules {
        limits: edge.limits,
        limited_by: "limits.connections",
        on_limited: Arc::new(move |limited: Limited| {
            metrics.count_limited_connection(limited.word())
        }),
        http2,
        slots: Some(edge.slots.clone()),
        drain,
    };
    let service = PublicService { edge: edge.clone() };
    listener::serve(listener, service, rules, on_broken, stop).await;
}

/// Serves another router, such as the admin API, with the same guards against slow clients.
/// `limited_by` tells the log what sets `limits.connections` of this listener.
pub async fn serve_router(
    listener: TcpListener,
    router: Router,
    limits: EdgeLimits,
    limited_by: &'static str,
    stop: impl Future<Output = ()>,
) {
    let rules = Rules {
        limits,
        limited_by,
        on_limited: Arc::new(|_| {}),
        http2: false,
        slots: None,
        drain: Duration::ZERO,
    };
    listener::serve(listener, router, rules, Arc::new(|_, _| {}), stop).await;
}
