//! The state that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipnet::IpNet;
use landfall_dispatch::{Dispatcher, RunSlots};
use landfall_hooks::{Hooks, KeyCache};
use landfall_metrics::Metrics;
use landfall_model::{Clock, EdgeLimits, PushSpec, RefusalLog, RequestLines};
use landfall_secrets::{KeyDocuments, Secrets};
use landfall_telemetry::Tracer;
use landfall_verify::Verifier;

use super::bodies::BodyBudget;
use super::decode::Decoders;
use super::hints::HintBudget;
use super::push_auth;
use super::request_log::RequestLog;
use super::responses::ResponseBudget;

/// The public listener's state.
pub struct Edge {
    /// The routes.
    pub hooks: Hooks,
    /// The keys to verify requests with.
    pub secrets: Arc<Secrets>,
    /// The keys by URL.
    pub documents: Arc<KeyDocuments>,
    /// Accepts and runs events.
    pub dispatcher: Arc<Dispatcher>,
    /// The slots of connections.
    pub(crate) slots: Arc<RunSlots>,
    /// The limits of `landfall.toml`.
    pub limits: EdgeLimits,
    /// The rejected requests.
    pub refusals: Arc<RefusalLog>,
    /// The metrics of the node.
    pub(crate) metrics: Arc<Metrics>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) clock: Clock,
    /// Takes the spans of requests.
    pub(crate) tracer: Tracer,
    /// Writes the lines of answered requests.
    pub(crate) request_log: RequestLog,
    pub(crate) hints: HintBudget,
    pub(crate) bodies: BodyBudget,
    pub(crate) responses: ResponseBudget,
    pub(crate) decoders: Decoders,
    /// Verifies the calls of a broker that pushes messages.
    pub(crate) push: Option<Verifier>,
    pub(crate) push_keys: KeyCache,
    is_draining: AtomicBool,
}

/// What an edge is built from.
pub struct EdgeSetup {
    /// The routes.
    pub hooks: Hooks,
    /// The secrets of hooks.
    pub secrets: Arc<Secrets>,
    /// The key documents of hooks and of `push`.
    pub documents: Arc<KeyDocuments>,
    /// Accepts and runs events.
    pub dispatcher: Arc<Dispatcher>,
    /// The slots that connections share with attempts.
    pub slots: Arc<RunSlots>,
    /// The limits of `landfall.toml`.
    pub limits: EdgeLimits,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// How a broker that pushes messages identifies itself.
    pub push: Option<PushSpec>,
    /// The time of day.
    pub clock: Clock,
    /// The metrics of the node.
    pub metrics: Arc<Metrics>,
    /// Takes the spans of requests.
    pub tracer: Tracer,
    /// Which answered requests have a line in the log.
    pub request_lines: RequestLines,
    /// Of the requests with a status below 400, one in this many has a line.
    pub request_every: u32,
}

// === impl Edge ===

impl Edge {
    /// Ready for requests.
    pub fn new(setup: EdgeSetup) -> anyhow::Result<Arc<Edge>> {
        let limits = &setup.limits;
        let responses =
            ResponseBudget::new(limits.response_memory, limits.connection_response_memory);
        Ok(Arc::new(Edge {
            hooks: setup.hooks,
            secrets: setup.secrets,
            documents: setup.documents,
            refusals: setup.dispatcher.refusals().clone(),
            dispatcher: setup.dispatcher,
            slots: setup.slots,
            limits: setup.limits,
            metrics: setup.metrics,
            trusted_proxies: setup.trusted_proxies,
            clock: setup.clock,
            tracer: setup.tracer,
            request_log: RequestLog::new(setup.request_lines, setup.request_every),
            hints: HintBudget::default(),
            bodies: BodyBudget::new(setup.limits.body_memory),
            responses,
            decoders: Decoders::new(setup.limits.body_timeout),
            push: setup.push.as_ref().map(push_auth::verifier).transpose()?,
            push_keys: KeyCache::default(),
            is_draining: AtomicBool::new(false),
        }))
    }

    /// Why the node is not ready, for the operator; `None` if it is.
    pub fn not_ready(&self) -> Option<String> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Some("the node is stopping".into());
        }

        if !self.dispatcher.can_accept() {
            let why = self.dispatcher.refusal();
            let why = why.unwrap_or_else(|| "the log says why".into());
            return Some(format!("no event can be stored now: {why}"));
        }

        self.hooks.not_ready()
    }

    /// Ends readiness. Later requests are still served.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}
