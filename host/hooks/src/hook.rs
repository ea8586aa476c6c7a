//! A hook as it is served: its spec, its verifier, its handler if there is one, and its places.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::known::LOADING;
use landfall_config::requests;
use landfall_engine::{Handler, OrderOf, Slots, Target};
use landfall_model::{HookSpec, SecretSource, Sizes, VerifySpec};
use landfall_verify::{AuthScheme, Keys, Verifier, order_key};

/// Everything that a request needs to know about its hook.
pub struct Hook {
    /// As configured.
    pub spec: HookSpec,
    /// Who may call.
    pub verifier: Verifier,
    /// How large bodies may be, and the memory of an attempt.
    pub sizes: Sizes,
    /// What runs.
    pub serving: Serving,
    /// Where it runs.
    pub slots: Slots,
}

/// What a hook does with a verified event.
pub enum Serving {
    /// Runs it.
    Ready(Arc<Handler>),
    /// Cannot run it; the reason is for the operator.
    Unavailable(String),
}

/// How a hook stands, for people and machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HookStatus {
    /// Its name.
    pub name: String,
    /// Where it listens; none where its file cannot be read.
    pub path: Option<String>,
    /// How.
    pub state: HookState,
    /// SHA-256 of the component that serves.
    pub digest: Option<String>,
    /// What is wrong, in words that say what to do.
    pub problem: Option<String>,
    /// What the component's manifest asks for and the hook file may grant.
    pub wants: Option<String>,
    /// What it can do and has not been granted, where that is refused only when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<&'static str>,
    /// What the provider's signature leaves open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<&'static str>,
    /// It has a hook file, or is one that is not read.
    #[serde(skip)]
    pub has_file: bool,
    /// The file of the component that it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// SHA-256 of the component file that was tried last. It differs from `digest` where that one was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<String>,
}

/// Where neither the hook file nor the pack says how long the sender waits.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(8);

const NO_CALLS: &str =
    "its component imports http, and [allow] http grants nothing: each call would be denied";

/// The states of a hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookState {
    /// Runs events.
    Serving,
    /// Runs events with the last good files; the present ones are bad.
    Stale,
    /// Nobody said who may call, or no secret has a value: answers 503.
    Closed,
    /// Has nothing to run: answers 503.
    #[default]
    Unavailable,
}

impl std::fmt::Display for HookState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            HookState::Serving => "serving",
            HookState::Stale => "stale",
            HookState::Closed => "closed",
            HookState::Unavailable => "unavailable",
        })
    }
}

/// How the problem of such a hook begins.
const CHECKS_REFUSED: &str = "ownership checks are refused";

// === impl HookStatus ===

impl HookStatus {
    /// It is being loaded for the first time.
    pub fn is_loading(&self) -> bool {
        self.problem.as_deref() == Some(LOADING)
    }

    /// It serves, and the provider's handshake would fail: no event would ever come.
    pub fn refuses_ownership_checks(&self) -> bool {
        self.problem
            .as_deref()
            .is_some_and(|problem| problem.starts_with(CHECKS_REFUSED))
    }

    /// A file that is no hook, and why.
    pub(super) fn stray(what: &str, why: &str) -> HookStatus {
        HookStatus {
            name: what.escape_debug().to_string(),
            path: None,
            state: HookState::Unavailable,
            digest: None,
            problem: Some(why.into()),
            wants: None,
            denied: None,
            unsigned: None,
            component: None,
            tried: None,
            has_file: what.to_ascii_lowercase().ends_with(".toml") && !what.contains('/'),
        }
    }
}

// === impl Hook ===

impl Hook {
    /// The same with other callers.
    pub(super) fn called_by(&self, spec: &VerifySpec, verifier: &Verifier) -> Hook {
        let serving = match &self.serving {
            Serving::Ready(handler) => Serving::Ready(handler.clone()),
            Serving::Unavailable(why) => Serving::Unavailable(why.clone()),
        };
        let spec = HookSpec {
            verify: spec.clone(),
            ..self.spec.clone()
        };
        Hook {
            spec,
            verifier: verifier.clone(),
            sizes: self.sizes,
            serving,
            slots: self.slots.clone(),
        }
    }

    /// The same with nothing to run, while its component is not there.
    pub(super) fn without_component(&self) -> Hook {
        let why = format!(
            "component {} is missing: put it into the plugins directory, or name its folder with --bundled",
            self.spec.component
        );
        Hook {
            spec: self.spec.clone(),
            verifier: self.verifier.clone(),
            sizes: self.sizes,
            serving: Serving::Unavailable(why),
            slots: self.slots.clone(),
        }
    }

    /// What runs its events; none where nothing can.
    pub fn target(&self) -> Option<Target> {
        let Serving::Ready(handler) = &self.serving else {
            return None;
        };
        Some(Target {
            handler: handler.clone(),
            slots: self.slots.clone(),
            deadline: self.spec.deadline,
            retry: self.spec.retry,
            max_rate: self.spec.max_rate,
            order_of: self.order_of(),
            dedup_window: self.spec.dedup.window,
            quota: self.spec.quota,
            repeats_reply: self.verifier.repeats_reply(),
        })
    }

    fn order_of(&self) -> Option<OrderOf> {
        self.spec.order_by.as_ref()?;
        let verifier = self.verifier.clone();
        Some(Arc::new(move |event| order_key(&verifier, event)))
    }

    /// One attempt in mode `sync`: the shorter of what the provider waits for and the hook's own deadline.
    pub fn sync_limit(&self) -> Duration {
        let answer_within = self.spec.answer_within.or(self.verifier.answer_within());
        answer_within.map_or(self.spec.deadline, |within| within.min(self.spec.deadline))
    }

    /// How long a caller in mode `auto` waits for the handler's reply, and in `async` for the responder's.
    pub fn queued_limit(&self) -> Duration {
        let known = self.spec.answer_within.or(self.verifier.answer_within());
        known.unwrap_or(ANSWER_WITHIN).min(self.spec.deadline)
    }

    /// How it stands, `problem` being what is wrong with the present files.
    pub(super) fn status(&self, problem: Option<&str>, secrets: &dyn SecretSource) -> HookStatus {
        let (ready, own_problem) = match &self.serving {
            Serving::Ready(_) => (true, None),
            Serving::Unavailable(why) => (false, Some(why.as_str())),
        };
        let why_closed = self.why_closed(secrets);
        let closed = why_closed.is_some();
        let state = match (ready, problem, closed) {
            (false, ..) => HookState::Unavailable,
            (true, _, true) => HookState::Closed,
            (true, Some(_), false) => HookState::Stale,
            (true, None, false) => HookState::Serving,
        };
        let said = problem.or(own_problem).map(str::to_owned);
        HookStatus {
            name: self.spec.name.to_string(),
            path: Some(self.spec.path.clone()),
            state,
            digest: self
                .handler()
                .map(|handler| handler.component().digest.clone()),
            problem: said
                .or(why_closed)
                .or_else(|| self.missing_challenge_secret(secrets))
                .or_else(|| self.missing_credential(secrets))
                .or_else(|| self.missing_variable(secrets)),
            wants: self
                .handler()
                .and_then(|handler| handler.component().manifest.as_deref().and_then(requests)),
            denied: self
                .handler()
                .filter(|handler| self.grants_no_call_of(handler))
                .map(|_| NO_CALLS),
            unsigned: self.verifier.body_note(),
            has_file: false,
            component: Some(self.spec.component.clone()),
            tried: None,
        }
    }

    /// Nobody said who may call, or there is nothing to compare with: every request gets 503.
    fn why_closed(&self, secrets: &dyn SecretSource) -> Option<String> {
        if *self.verifier.auth_scheme() == AuthScheme::Closed {
            return Some(closed_problem(&self.spec.name));
        }
        let secrets = self
            .verifier
            .secrets()
            .iter()
            .map(|reference| (self.verifier.key_form(), secrets.value(reference)));
        self.verifier
            .key_problem(&Keys::new(secrets))
            .map(|why| format!("closed: {why}"))
    }

    /// Deliveries are verified; the provider's ownership check is refused.
    fn missing_challenge_secret(&self, secrets: &dyn SecretSource) -> Option<String> {
        let all: Vec<_> = self
            .verifier
            .challenge_secrets()
            .iter()
            .map(|reference| secrets.value(reference))
            .collect();
        let why: Vec<String> = all
            .iter()
            .filter_map(|value| Some(value.as_ref().err()?.to_string()))
            .collect();
        let is_missing = !all.is_empty() && why.len() == all.len();
        is_missing.then(|| {
            format!(
                "{CHECKS_REFUSED}, since challenge_secret has no value: {}",
                why.join("; ")
            )
        })
    }

    /// Calls that need it are not made; everything else is.
    fn missing_credential(&self, secrets: &dyn SecretSource) -> Option<String> {
        let mut all = self.spec.credentials.iter().flat_map(|credential| {
            credential
                .secrets()
                .into_iter()
                .map(move |reference| (&credential.target, reference))
        });
        all.find_map(|(target, reference)| {
            let why = secrets.value(reference).err()?;
            Some(format!(
                "calls to {target} are not made, since a credential has no value: {why}"
            ))
        })
    }

    /// Events are tried again until it is there.
    fn missing_variable(&self, secrets: &dyn SecretSource) -> Option<String> {
        let mut all = self.spec.environment.iter();
        all.find_map(|variable| {
            let why = variable
                .secrets()
                .find_map(|reference| secrets.value(reference).err())?;
            Some(format!(
                "no event is handled, since [environment] {} has no value: {why}",
                variable.name
            ))
        })
    }

    fn grants_no_call_of(&self, handler: &Handler) -> bool {
        self.spec.allow.http.is_empty() && handler.component().can_call_out()
    }

    fn handler(&self) -> Option<&Handler> {
        match &self.serving {
            Serving::Ready(handler) => Some(handler),
            Serving::Unavailable(_) => None,
        }
    }
}

fn closed_problem(name: &str) -> String {
    format!(
        "closed: nobody said who may call; write into {name}.toml [verify] provider = \"github\" and secret = \
         \"env:NAME\" (or a scheme of your own, or scheme = \"none\" to let everybody in)"
    )
}
