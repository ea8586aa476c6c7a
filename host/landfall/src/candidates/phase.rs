//! How the candidate of a hook stands.

use std::sync::Arc;

use landfall_candidate::{By, CandidateState, Decision, Promoted};
use landfall_engine::Handler;
use landfall_hooks::FoundCandidate;
use landfall_model::Trial;

/// How a candidate stands.
pub(super) enum Phase {
    /// It cannot be tried, and why.
    Refused(String),
    /// It is the version that serves.
    Serving,
    /// It was promoted, and serves or is being loaded.
    Promoted,
    /// It was promoted, and the component's file has changed since.
    Superseded,
    /// It was rolled back.
    RolledBack(Option<Decision>),
    /// It is tried.
    Tried(Arc<Handler>),
}

// === impl Phase ===

impl Phase {
    /// `file`: the version of the component's own file. `serving`: the version that serves.
    pub(super) fn of(
        found: &FoundCandidate,
        state: &CandidateState,
        file: Option<&str>,
        serving: Option<&str>,
    ) -> Phase {
        let handler = match &found.handler {
            Ok(handler) => handler,
            Err(why) => return Phase::Refused(why.clone()),
        };
        let Some(digest) = found.digest() else {
            return Phase::Refused("its file cannot be read".into());
        };

        let is_candidate = |promoted: &Promoted| promoted.digest == digest;
        let promoted = file.and_then(|file| state.promoted_over(file));
        if promoted.is_some_and(is_candidate) {
            Phase::Promoted
        } else if serving == Some(digest) {
            Phase::Serving
        } else if state.promoted.as_ref().is_some_and(is_candidate) {
            // Otherwise a rule could put it in the place of a newer file.
            Phase::Superseded
        } else if state.is_rejected(digest) {
            Phase::RolledBack(state.end_of(digest).cloned())
        } else if serving.is_none() {
            Phase::Refused("the hook has no version that serves".into())
        } else {
            Phase::Tried(handler.clone())
        }
    }

    /// The word in JSON and metrics.
    pub(super) fn word(&self, found: &FoundCandidate) -> &'static str {
        match (self, &found.spec.trial) {
            (Phase::Refused(_), _) => "refused",
            (Phase::Serving, _) => "serving",
            (Phase::Promoted, _) => "promoted",
            (Phase::Superseded, _) => "superseded",
            (Phase::RolledBack(_), _) => "rolled-back",
            (Phase::Tried(_), Trial::Shadow) => "shadow",
            (Phase::Tried(_), Trial::Canary(_)) => "canary",
        }
    }

    /// What an operator should hear of, if there is something.
    pub(super) fn problem(&self, component: &str) -> Option<String> {
        match self {
            Phase::Refused(why) => Some(format!("the candidate {component} is not tried: {why}")),
            Phase::RolledBack(Some(decision)) if decision.by == By::Rule => {
                let reason = &decision.reason;
                Some(format!(
                    "the candidate {component} was rolled back: {reason}"
                ))
            }
            _ => None,
        }
    }
}
