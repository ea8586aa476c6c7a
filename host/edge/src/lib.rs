//! HTTP in: the listener and its bounds, what a request goes through, and the one place that answers.
#![deny(unsafe_code)]

mod answer;
mod bodies;
mod client;
mod counters;
mod decode;
mod guard;
mod head;
mod idle;
mod listener;
mod prove;
mod push;
mod receive;
mod refuse;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use ipnet::IpNet;
use tokio::net::TcpListener;

use listener::OnBroken;

use landfall_dispatch::Delivery;
use landfall_hooks::Hooks;
use landfall_model::{Clock, EdgeLimits, PushSpec, RefusalLog};
use landfall_secrets::{KeyDocuments, Secrets};
use landfall_verify::Verifier;

pub use refuse::{Why, refuse_admin};

/// What every request needs.
pub struct Edge {
    /// Who answers where.
    pub hooks: Hooks,
    /// Values to check against.
    pub secrets: Arc<Secrets>,
    /// Keys by address.
    pub documents: Arc<KeyDocuments>,
    /// Runs events.
    pub delivery: Arc<Delivery>,
    /// Bounds.
    pub limits: EdgeLimits,
    /// Proxies that are believed when they say who called.
    pub trusted_proxies: Vec<IpNet>,
    /// Who was not let in, and why.
    pub refusals: Arc<RefusalLog>,
    /// Time of day.
    pub clock: Clock,
    /// What is counted.
    pub counters: counters::Counters,
    /// Hints cost time.
    hints: refuse::HintTurns,
    /// Room for bodies.
    bodies: bodies::Room,
    decoders: decode::Decoders,
    draining: AtomicBool,
    /// Of the calls of a broker that calls.
    push: Option<Verifier>,
}

// === impl Edge ===

impl Edge {
    /// Ready for requests, and for the calls of a broker where it calls.
    pub fn new(
        hooks: Hooks,
        secrets: Arc<Secrets>,
        delivery: Arc<Delivery>,
        limits: EdgeLimits,
        trusted_proxies: Vec<IpNet>,
        push: Option<&PushSpec>,
        key_documents: Option<PathBuf>,
        clock: Clock,
    ) -> anyhow::Result<Arc<Edge>> {
        let own = push.map(|push| push.keys.clone());
        Ok(Arc::new(Edge {
            hooks,
            push: push.map(push::verifier).transpose()?,
            documents: Arc::new(KeyDocuments::new(own, key_documents, clock)),
            secrets,
            refusals: delivery.refusals().clone(),
            delivery,
            limits,
            trusted_proxies,
            counters: counters::Counters::new(),
            hints: refuse::HintTurns::default(),
            clock,
            bodies: bodies::Room::new(limits.body_memory),
            decoders: decode::Decoders::new(limits.body_timeout),
            draining: AtomicBool::new(false),
        }))
    }

    /// Why the node is not ready, for the operator; `None` if it is.
    pub fn not_ready(&self) -> Option<String> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("the node is stopping".into());
        }
        if !self.delivery.can_accept() {
            return Some("no event can be stored now: the log says why".into());
        }
        self.hooks.not_ready()
    }

    /// From now on not ready; requests that come all the same are still served.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// Serves hooks until `stop` is done, then lets requests that have begun end, for at most `drain`.
pub async fn serve(
    listener: TcpListener,
    edge: &Arc<Edge>,
    http2: bool,
    stop: impl Future<Output = ()>,
    drain: Duration,
) {
    let recording = edge.clone();
    let on_broken: OnBroken =
        Arc::new(move |broken, peer| refuse::refuse_broken(&recording, broken, peer));
    listener::serve(
        listener,
        router(edge.clone()),
        edge.limits,
        http2,
        on_broken,
        stop,
        drain,
    )
    .await;
}

/// Serves another router, such as the admin API, with the same guards against slow clients.
pub async fn serve_router(
    listener: TcpListener,
    router: Router,
    limits: EdgeLimits,
    stop: impl Future<Output = ()>,
) {
    listener::serve(
        listener,
        router,
        limits,
        false,
        Arc::new(|_, _| {}),
        stop,
        Duration::ZERO,
    )
    .await;
}

/// Every public route: hooks live in a table of their own that changes while we run.
fn router(edge: Arc<Edge>) -> Router {
    let routes = Router::new().fallback(receive::receive);
    let routes = match edge.push {
        Some(_) => routes.route(PushSpec::PATH, any(push::push)),
        None => routes,
    };
    routes.with_state(edge)
}
