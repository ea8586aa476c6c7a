//! HTTP in: the listener and its bounds, what a request goes through, and the one place that answers.

mod answer;
mod bodies;
mod counters;
mod guard;
mod head;
mod idle;
mod listener;
mod prove;
mod push;
mod receive;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::routing::any;

use crate::delivery::Delivery;
use crate::hooks::Hooks;
use crate::model::{Clock, EdgeLimits, PushSpec, RefusalLog};
use crate::secrets::{KeyDocuments, Secrets};
use crate::verify::Verifier;

pub use listener::serve;
pub use plain::{plain_relay, plain_router};

mod plain;

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
    /// Who was not let in, and why.
    pub refusals: Arc<RefusalLog>,
    /// Time of day.
    pub clock: Clock,
    /// What is counted.
    pub counters: counters::Counters,
    /// Hints cost time.
    hints: prove::HintTurns,
    /// Room for bodies.
    bodies: bodies::Room,
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
        push: Option<&PushSpec>,
    ) -> anyhow::Result<Arc<Edge>> {
        let own = push.map(|push| push.keys.clone());
        Ok(Arc::new(Edge {
            hooks,
            push: push.map(push::verifier).transpose()?,
            documents: Arc::new(KeyDocuments::new(secrets.clone(), own)),
            secrets,
            delivery,
            limits,
            refusals: Arc::default(),
            counters: counters::Counters::new(),
            hints: prove::HintTurns::default(),
            clock: Clock::System,
            bodies: bodies::Room::new(limits.bodies),
            draining: AtomicBool::new(false),
        }))
    }

    /// Hooks are known and nothing is being shut down.
    pub fn is_ready(&self) -> bool {
        self.hooks.is_complete() && self.delivery.can_accept() && !self.draining.load(Ordering::Relaxed)
    }

    /// From now on not ready; requests that come all the same are still served.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// Every public route: hooks live in a table of their own that changes while we run.
pub fn router(edge: Arc<Edge>) -> Router {
    let routes = Router::new().fallback(receive::receive);
    let routes = match edge.push {
        Some(_) => routes.route(PushSpec::PATH, any(push::push)),
        None => routes,
    };
    routes.with_state(edge)
}
