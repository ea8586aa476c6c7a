//! HTTP in: the listener and its bounds, what a request goes through, and the one place that answers.

mod answer;
mod bodies;
mod counters;
mod guard;
mod head;
mod idle;
mod listener;
mod prove;
mod receive;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;

use crate::delivery::Delivery;
use crate::hooks::Hooks;
use crate::model::{Clock, EdgeLimits, RefusalLog};
use crate::secrets::{KeyDocuments, Secrets};

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
}

// === impl Edge ===

impl Edge {
    /// Ready for requests.
    pub fn new(hooks: Hooks, secrets: Arc<Secrets>, delivery: Arc<Delivery>, limits: EdgeLimits) -> Arc<Edge> {
        Arc::new(Edge {
            hooks,
            documents: Arc::new(KeyDocuments::new(secrets.clone())),
            secrets,
            delivery,
            limits,
            refusals: Arc::default(),
            counters: counters::Counters::new(),
            hints: prove::HintTurns::default(),
            clock: Clock::System,
            bodies: bodies::Room::new(limits.bodies),
            draining: AtomicBool::new(false),
        })
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
    Router::new().fallback(receive::receive).with_state(edge)
}
