//! What is known of one hook, and what becomes of it when its files have been tried.

use std::sync::Arc;

use super::hook::{Hook, Serving};
use super::load::{Files, Problem};
use crate::verify::Proof;

/// Digests of the hook file and of the component, or why they cannot be read, and the component's name.
pub type Fingerprint = (Option<Result<[u8; 32], String>>, Option<Result<[u8; 32], String>>, String);

/// What is known of one hook.
pub struct Known {
    /// Of the files that were tried last.
    pub tried: Fingerprint,
    /// What serves, or would if its path were free.
    pub serving: Arc<Hook>,
    /// What served before, and goes on as long as the path of `serving` is taken by another hook.
    pub fallback: Option<Arc<Hook>>,
    /// What is wrong with the files.
    pub problem: Option<String>,
    /// The problem may pass without a change of files.
    pub again: bool,
}

// === impl Known ===

impl Known {
    /// After a try: the new hook, or the last good one with a problem. `unavailable` makes the hook that answers 503.
    pub fn after(
        tried: Fingerprint,
        files: &Files,
        before: Option<Known>,
        loaded: Result<Hook, Problem>,
        unavailable: impl FnOnce(&str) -> Hook,
    ) -> Known {
        match (loaded, before) {
            (Ok(hook), Some(old)) if names_a_missing_one(&hook, &old.serving) => {
                let why = format!("component {} is missing: put it into the plugins directory", hook.spec.component);
                old.kept(tried, why, false)
            }
            (Ok(hook), before) => Known::changed(tried, hook, before),
            (Err(Problem { why, is_passing }), Some(old)) if !is_gone(files, &old.serving) => {
                old.kept(tried, why, is_passing)
            }
            (Err(Problem { why, is_passing }), _) => {
                let serving = Arc::new(unavailable(&why));
                tracing::error!(hook = %serving.spec.name, problem = why, "hook not loaded");
                Known { tried, serving, fallback: None, problem: Some(why), again: is_passing }
            }
        }
    }

    /// The components it needs: of what serves first.
    pub fn components(&self) -> Vec<String> {
        let hooks = std::iter::once(&self.serving).chain(&self.fallback);
        hooks.map(|hook| hook.spec.component.clone()).collect()
    }

    fn changed(tried: Fingerprint, mut hook: Hook, before: Option<Known>) -> Known {
        tracing::info!(hook = %hook.spec.name, path = hook.spec.path, component = hook.spec.component, "hook loaded");
        let fallback = before.map(|old| {
            if old.serving.spec.concurrency == hook.spec.concurrency {
                // What runs now still takes its places.
                hook.slots = old.serving.slots.clone();
            }
            old.fallback.unwrap_or(old.serving)
        });
        let fallback = fallback.filter(|old| is_usable(old) && old.spec.path != hook.spec.path);
        Known { tried, serving: Arc::new(hook), fallback, problem: None, again: false }
    }

    fn kept(self, tried: Fingerprint, why: String, again: bool) -> Known {
        let hook = self.serving.spec.name.clone();
        tracing::error!(%hook, problem = why, "hook not changed: the last good one goes on serving");
        Known { tried, problem: Some(why), again, ..self }
    }
}

/// It has something to run and somebody who may call.
pub fn is_usable(hook: &Hook) -> bool {
    matches!(hook.serving, Serving::Ready(_)) && *hook.verifier.proof() != Proof::Closed
}

/// What tells whether files are worth a try.
pub fn fingerprint(files: &Files) -> Fingerprint {
    let digest = |content: &Option<Result<super::scan::Content, String>>| {
        content.as_ref().map(|content| content.as_ref().map(|content| content.digest).map_err(Clone::clone))
    };
    (digest(&files.hook_file), digest(&files.component), files.component_name.clone())
}

/// The hook file names another component than before, and that one is not there: a slip, or it is still to come.
fn names_a_missing_one(hook: &Hook, old: &Hook) -> bool {
    let was_ready = matches!(old.serving, Serving::Ready(_));
    let is_ready = matches!(hook.serving, Serving::Ready(_));
    was_ready && !is_ready && hook.spec.component != old.spec.component
}

/// The component that serves has been deleted: there is nothing that may go on.
fn is_gone(files: &Files, old: &Hook) -> bool {
    files.component.is_none() && files.component_name == old.spec.component
}
