//! The status of a hook, for people and machines.

use serde::Serialize;

use super::hook::{Hook, LOADING, Serving};
use landfall_model::SecretSource;
use landfall_verify::Keys;

/// How the problem of a hook begins whose provider's ownership check would fail.
const CHECKS_REFUSED: &str = "ownership checks are refused";
const NO_CALLS: &str =
    "its component imports http, and [allow] http grants nothing: each call would be denied";

/// The status of one hook, or of a file that cannot be a hook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HookStatus {
    /// The name of the hook or of the file.
    pub name: String,
    /// The path that it serves. `None` if its file cannot be read.
    pub path: Option<String>,
    /// The state of the hook.
    pub state: HookState,
    /// SHA-256 of the component that serves.
    pub digest: Option<String>,
    /// The version in the manifest of that component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Since when the hook is in this state with this component, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What is wrong and what to do.
    pub problem: Option<String>,
    /// What the component's manifest needs and the hook file does not grant.
    pub wants: Option<String>,
    /// What of the component's manifest is not used, and which settings look like references.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the component can do and is not granted, if that is refused only when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<&'static str>,
    /// What the provider's signature does not cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<&'static str>,
    /// Whether it has a hook file, or is a hook file that is not read.
    #[serde(skip)]
    pub has_file: bool,
    /// The file name of its component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// SHA-256 of the component file that was loaded last. It differs from `digest` if that file
    /// was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<String>,
}

/// The states of a hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookState {
    /// Runs events.
    Serving,
    /// Runs events with the last good files, since the present ones are bad.
    Stale,
    /// Answers 503, since no caller is allowed or no secret has a value.
    Closed,
    /// Answers 503, since there is nothing to run.
    #[default]
    Unavailable,
}

// === impl HookState ===

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

// === impl HookStatus ===

impl HookStatus {
    /// Whether the hook is being loaded for the first time.
    pub fn is_loading(&self) -> bool {
        self.problem.as_deref() == Some(LOADING)
    }

    /// Whether the hook serves and the provider's ownership check would fail, so that no event
    /// would ever arrive.
    pub fn refuses_ownership_checks(&self) -> bool {
        self.problem
            .as_deref()
            .is_some_and(|problem| problem.starts_with(CHECKS_REFUSED))
    }

    /// Whether the hook has the same state and component as in an earlier status.
    pub(crate) fn is_as_before(&self, old: &HookStatus) -> bool {
        (&self.name, self.state, &self.digest) == (&old.name, old.state, &old.digest)
    }

    /// The status of a file that cannot be a hook.
    pub(crate) fn invalid_file(name: &str, why: &str) -> HookStatus {
        HookStatus {
            name: name.escape_debug().to_string(),
            state: HookState::Unavailable,
            problem: Some(why.into()),
            has_file: name.to_ascii_lowercase().ends_with(".toml") && !name.contains('/'),
            ..HookStatus::default()
        }
    }
}

// === impl Hook ===

impl Hook {
    /// The status of the hook. `problem` is what is wrong with the present files.
    pub(crate) fn status(&self, problem: Option<&str>, secrets: &dyn SecretSource) -> HookStatus {
        let own_problem = match &self.serving {
            Serving::Ready(_) => None,
            Serving::Unavailable(why) => Some(why.as_str()),
        };
        let why_closed = self.why_closed(secrets);
        let state = if !self.is_ready() {
            HookState::Unavailable
        } else if why_closed.is_some() {
            HookState::Closed
        } else if problem.is_some() {
            HookState::Stale
        } else {
            HookState::Serving
        };

        let problem = problem
            .or(own_problem)
            .map(str::to_owned)
            .or(why_closed)
            .or_else(|| self.missing_challenge_secret(secrets))
            .or_else(|| self.missing_credential(secrets))
            .or_else(|| self.missing_variable(secrets));
        let component = self.handler().map(|handler| handler.component());
        HookStatus {
            name: self.spec.name.to_string(),
            path: Some(self.spec.path.clone()),
            state,
            digest: component.map(|component| component.digest.clone()),
            version: component.and(self.manifest.version.clone()),
            since: None,
            problem,
            wants: self.manifest.lacking_lines(&self.spec.allow),
            warnings: self.warnings(),
            denied: component
                .filter(|component| component.can_call_out() && self.spec.allow.http.is_empty())
                .map(|_| NO_CALLS),
            unsigned: self.verifier.body_note(),
            has_file: false,
            component: Some(self.spec.component.clone()),
            tried: None,
        }
    }

    /// Why every request gets 503: no caller is allowed, or no secret has a value.
    fn why_closed(&self, secrets: &dyn SecretSource) -> Option<String> {
        if self.is_closed() {
            return Some(closed_problem(&self.spec.name));
        }
        let values = self
            .verifier
            .secrets()
            .iter()
            .map(|reference| (self.verifier.key_form(), secrets.value(reference)));
        self.verifier
            .key_problem(&Keys::new(values))
            .map(|why| format!("closed: {why}"))
    }

    /// Why deliveries are verified, but the provider's ownership check is refused.
    fn missing_challenge_secret(&self, secrets: &dyn SecretSource) -> Option<String> {
        let references = self.verifier.challenge_secrets();
        let errors: Vec<String> = references
            .iter()
            .filter_map(|reference| Some(secrets.value(reference).err()?.to_string()))
            .collect();
        let is_missing = !references.is_empty() && errors.len() == references.len();
        is_missing.then(|| {
            let errors = errors.join("; ");
            format!("{CHECKS_REFUSED}, since challenge_secret has no value: {errors}")
        })
    }

    /// Why some calls are not made.
    fn missing_credential(&self, secrets: &dyn SecretSource) -> Option<String> {
        for credential in &self.spec.credentials {
            for reference in credential.secrets() {
                if let Err(why) = secrets.value(reference) {
                    return Some(format!(
                        "calls to {} are not made, since a credential has no value: {why}",
                        credential.target
                    ));
                }
            }
        }
        None
    }

    /// Why events are retried until a variable has a value.
    fn missing_variable(&self, secrets: &dyn SecretSource) -> Option<String> {
        for variable in &self.spec.environment {
            for reference in variable.secrets() {
                if let Err(why) = secrets.value(reference) {
                    return Some(format!(
                        "no event is handled, since [environment] {} has no value: {why}",
                        variable.name
                    ));
                }
            }
        }
        None
    }
}

fn closed_problem(name: &str) -> String {
    format!(
        "closed: the hook has no [verify] table; write into {name}.toml [verify] provider = \"github\" and secret = \
         \"env:NAME\" (or a scheme of your own, or scheme = \"none\" to accept every caller)"
    )
}
