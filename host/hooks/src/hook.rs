//! A hook as it is served: its rules, its verifier, its handler if there is one, and its permits.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::error::missing_component;
use super::key_cache::KeyCache;
use landfall_config::{Manifest, literal_references};
use landfall_engine::{CandidateCell, Handler, OrderOf, Permits, Target};
use landfall_flow::Flow;
use landfall_metrics::HookMetrics;
use landfall_model::{
    Event, HookSpec, REDACTED_ATTRIBUTE, Sizes, UNREADABLE_BODY, UnreadableBody, VerifySpec,
};
use landfall_verify::{AuthScheme, Verifier, order_key};

/// The problem of a hook that is being loaded for the first time.
pub(crate) const LOADING: &str = "the hook is still loading";
/// How long the sender waits, if neither the hook file nor the pack says it.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// Everything that a request needs to know about its hook.
pub struct Hook {
    /// The rules of the hook file.
    pub spec: HookSpec,
    /// Who may call.
    pub verifier: Arc<Verifier>,
    /// The keys of `verifier`, from the last request.
    pub keys: KeyCache,
    /// How large bodies may be, and the memory of an attempt.
    pub sizes: Sizes,
    /// What happens to events before they run.
    pub flow: Arc<Flow>,
    /// What the author of the component says about it.
    pub manifest: Arc<Manifest>,
    /// What runs.
    pub serving: Serving,
    /// How many attempts may run.
    pub permits: Permits,
    /// What is counted. All versions of the hook share it.
    pub metrics: Arc<HookMetrics>,
    /// The version that is tried. All versions of the hook share it.
    pub candidate: Arc<CandidateCell>,
    /// What `target` returns, from the first request.
    pub(crate) target: OnceLock<Arc<Target>>,
}

/// What a hook does with a verified event.
#[derive(Clone)]
pub enum Serving {
    /// Runs it.
    Ready(Arc<Handler>),
    /// Cannot run it. The reason is for the operator.
    Unavailable(String),
}

// === impl Hook ===

impl Hook {
    /// Whether there is a handler to run.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.serving, Serving::Ready(_))
    }

    /// Whether no caller is allowed.
    pub(crate) fn is_closed(&self) -> bool {
        *self.verifier.auth_scheme() == AuthScheme::Closed
    }

    /// Whether there is a handler to run and a caller is allowed.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_ready() && !self.is_closed()
    }

    /// The same hook with other callers.
    pub(crate) fn with_callers(&self, verify: &VerifySpec, verifier: &Verifier) -> Hook {
        let spec = HookSpec {
            verify: verify.clone(),
            ..self.spec.clone()
        };
        Hook {
            spec,
            verifier: Arc::new(verifier.clone()),
            keys: KeyCache::default(),
            sizes: self.sizes,
            flow: self.flow.clone(),
            manifest: self.manifest.clone(),
            serving: self.serving.clone(),
            permits: self.permits.clone(),
            metrics: self.metrics.clone(),
            candidate: self.candidate.clone(),
            target: OnceLock::new(),
        }
    }

    /// The same hook without its handler, while its component is missing.
    pub(crate) fn without_component(&self) -> Hook {
        Hook {
            spec: self.spec.clone(),
            verifier: self.verifier.clone(),
            keys: KeyCache::default(),
            sizes: self.sizes,
            flow: self.flow.clone(),
            manifest: self.manifest.clone(),
            serving: Serving::Unavailable(missing_component(&self.spec.component, None)),
            permits: self.permits.clone(),
            metrics: self.metrics.clone(),
            candidate: self.candidate.clone(),
            target: OnceLock::new(),
        }
    }

    /// What of the component's manifest is not used, and which settings look like references.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let of_manifest = self.manifest.warnings.iter().cloned();
        of_manifest
            .chain(literal_references(&self.spec.settings))
            .collect()
    }

    /// The event as it is stored and run: without the values that `[redact]` names.
    pub fn redacted(&self, event: Event) -> Result<Event, UnreadableBody> {
        if self.spec.redact.is_empty() {
            return Ok(event);
        }
        self.spec
            .redact
            .event(event)
            .inspect(|event| self.count_redacted(event))
    }

    /// The same for an event that cannot be refused: an unreadable body is removed.
    pub fn redacted_or_head(&self, event: Event) -> Event {
        let event = self.spec.redact.event_or_head(event);
        self.count_redacted(&event);
        event
    }

    fn count_redacted(&self, event: &Event) {
        let Some(removed) = event.attribute(REDACTED_ATTRIBUTE) else {
            return;
        };

        let is_body = removed == UNREADABLE_BODY;
        self.metrics.count_redacted(is_body);
        if is_body {
            let (hook, event) = (&*event.hook, event.id);
            tracing::warn!(hook, %event, "the body was removed: [redact] cannot read it");
        }
    }

    /// What runs its events. `None` if there is no handler.
    pub fn target(&self) -> Option<&Arc<Target>> {
        let handler = self.handler()?;
        let target = self
            .target
            .get_or_init(|| Arc::new(self.target_of(handler.clone())));
        Some(target)
    }

    fn target_of(&self, handler: Arc<Handler>) -> Target {
        Target {
            handler,
            candidate: self.candidate.clone(),
            permits: self.permits.clone(),
            deadline: self.spec.deadline,
            retry: self.spec.retry,
            max_rate: self.spec.max_rate,
            order_of: self.order_of(),
            flow: self.flow.clone(),
            dedup_window: self.spec.dedup.window,
            quota: self.spec.quota,
            repeats_reply: self.verifier.repeats_reply(),
        }
    }

    /// The limit of one attempt in mode `sync`: the time that the provider waits, or the deadline
    /// if it is shorter.
    pub fn sync_limit(&self) -> Duration {
        let answer_within = self.spec.answer_within.or(self.verifier.answer_within());
        answer_within.map_or(self.spec.deadline, |within| within.min(self.spec.deadline))
    }

    /// How long a caller waits for the handler's reply in mode `auto`, and for the responder's in
    /// mode `async`.
    pub fn queued_limit(&self) -> Duration {
        self.spec
            .answer_within
            .or(self.verifier.answer_within())
            .unwrap_or(ANSWER_WITHIN)
            .min(self.spec.deadline)
    }

    pub(crate) fn handler(&self) -> Option<&Arc<Handler>> {
        match &self.serving {
            Serving::Ready(handler) => Some(handler),
            Serving::Unavailable(_) => None,
        }
    }

    fn order_of(&self) -> Option<OrderOf> {
        self.spec.order_by.as_ref()?;
        let verifier = self.verifier.clone();
        Some(Arc::new(move |event| order_key(&verifier, event)))
    }
}
