//! What is known of one hook, and what becomes of it when its files have been tried.

use std::sync::Arc;

use super::asks;
use super::hook::{Hook, Serving};
use super::load::{Files, Problem};
use super::scan::Content;
use landfall_verify::AuthScheme;

/// Digests of the hook file and of the component, or why they cannot be read, the component's name, and the packs.
pub type Fingerprint = (
    Option<Result<[u8; 32], String>>,
    Option<Result<[u8; 32], String>>,
    String,
    u64,
);

/// Thorough looks between two tries with the same files: about half an hour.
const LOOKS_BETWEEN_TRIES_MAX: u32 = 64;
/// The problem of a hook that is being loaded for the first time.
pub const LOADING: &str = "the hook is still loading";

/// What is known of one hook.
pub struct Known {
    /// Of the files that were tried last.
    pub tried: Fingerprint,
    /// What its files ask for; where they are bad, what served before.
    pub wants: Arc<Hook>,
    /// What answers for it now. Another than it wants as long as the path that it wants is taken.
    pub stands: Option<Arc<Hook>>,
    /// What is wrong with the files.
    pub problem: Option<String>,
    /// The problem may pass without a change of files.
    pub again: bool,
    /// Thorough looks until the next try with the same files.
    pub looks_left: u32,
    /// What `looks_left` began with. It doubles with each try.
    pub pause: u32,
    /// Its rules come from a hook file: they end with it.
    pub has_file: bool,
}

// === impl Known ===

impl Known {
    /// A new hook whose files are being tried for the first time: `unavailable` answers 503 at its path.
    pub fn loading(unavailable: Hook, files: &Files) -> Known {
        let tried = (None, None, String::new(), 0);
        let (wants, problem) = (Arc::new(unavailable), Some(LOADING.to_owned()));
        let has_file = files.hook_file.is_some();
        Known {
            tried,
            wants,
            stands: None,
            problem,
            again: false,
            looks_left: 0,
            pause: 0,
            has_file,
        }
    }

    /// After a try: the new hook, or the last good one with a problem. `unavailable` makes the hook that answers 503.
    pub fn after(
        tried: Fingerprint,
        files: &Files,
        before: Option<Known>,
        loaded: Result<Hook, Problem>,
        unavailable: impl FnOnce(&str) -> Hook,
    ) -> Known {
        let stands = before.as_ref().and_then(|old| old.stands.clone());
        let last_good = stands
            .clone()
            .or(before.map(|old| old.wants))
            .filter(|old| is_ready(old));
        let loaded = match (loaded, &last_good) {
            (Ok(new), Some(old)) => {
                asks::more(&new, old).map_or(Ok(new), |why| Err(Problem::from(why)))
            }
            (loaded, _) => loaded,
        };
        match (loaded, last_good) {
            (Ok(hook), Some(old))
                if !is_ready(&hook)
                    && !is_closed(&hook)
                    && hook.spec.component != old.spec.component =>
            {
                // The hook file names another component than before, and that one is not there: a slip, or still to come.
                let why = format!(
                    "component {} is missing: put it into the plugins directory, or name its folder with --bundled",
                    hook.spec.component
                );
                Known::kept(tried, old, stands, why, false, files.hook_file.is_some())
            }
            (Ok(mut hook), old) => {
                let (name, path, component) =
                    (&hook.spec.name, &hook.spec.path, &hook.spec.component);
                match &hook.serving {
                    Serving::Ready(_) => {
                        tracing::info!(hook = %name, path, component, "hook loaded")
                    }
                    Serving::Unavailable(problem) => {
                        tracing::warn!(hook = %name, path, problem, "hook has nothing to run");
                    }
                }
                if let Some(old) = old.filter(|old| old.spec.concurrency == hook.spec.concurrency) {
                    // What runs now still takes its places.
                    hook.slots = old.slots.clone();
                }
                let has_file = files.hook_file.is_some();
                Known {
                    tried,
                    wants: Arc::new(hook),
                    stands,
                    problem: None,
                    again: false,
                    looks_left: 0,
                    pause: 0,
                    has_file,
                }
            }
            // Where its component is gone, the table has it answer 503.
            (Err(Problem { why, is_passing }), Some(old)) => Known::kept(
                tried,
                old,
                stands,
                why,
                is_passing,
                files.hook_file.is_some(),
            ),
            (Err(Problem { why, is_passing }), None) => {
                let wants = Arc::new(unavailable(&why));
                tracing::error!(hook = %wants.spec.name, problem = why, "hook not loaded");
                let has_file = files.hook_file.is_some();
                Known {
                    tried,
                    wants,
                    stands: None,
                    problem: Some(why),
                    again: is_passing,
                    looks_left: 0,
                    pause: 0,
                    has_file,
                }
            }
        }
    }

    /// Whether the same files are worth another try at this thorough look.
    pub fn is_due_again(&mut self) -> bool {
        self.looks_left = self.looks_left.saturating_sub(1);
        self.again && self.looks_left == 0
    }

    /// The same files were tried again after `before` looks: the next try comes later.
    pub fn pause_longer_than(&mut self, before: u32) {
        self.pause = (before * 2).clamp(1, LOOKS_BETWEEN_TRIES_MAX);
        self.looks_left = self.pause;
    }

    /// The components it needs: of what stands first.
    pub fn components(&self) -> Vec<String> {
        let hooks = self.stands.iter().chain([&self.wants]);
        hooks.map(|hook| hook.spec.component.clone()).collect()
    }

    fn kept(
        tried: Fingerprint,
        old: Arc<Hook>,
        stands: Option<Arc<Hook>>,
        why: String,
        again: bool,
        has_file: bool,
    ) -> Known {
        tracing::error!(hook = %old.spec.name, problem = why, "hook not changed: the last good one goes on serving");
        Known {
            tried,
            wants: old,
            stands,
            problem: Some(why),
            again,
            looks_left: 0,
            pause: 0,
            has_file,
        }
    }
}

/// It has something to run.
pub fn is_ready(hook: &Hook) -> bool {
    matches!(hook.serving, Serving::Ready(_))
}

/// It has something to run and somebody who may call.
pub fn is_usable(hook: &Hook) -> bool {
    is_ready(hook) && !is_closed(hook)
}

/// Nobody said who may call.
pub fn is_closed(hook: &Hook) -> bool {
    *hook.verifier.auth_scheme() == AuthScheme::Closed
}

/// What tells whether files are worth a try.
pub fn fingerprint(files: &Files) -> Fingerprint {
    let digest = |content: &Option<Result<Content, String>>| {
        content.as_ref().map(|content| {
            content
                .as_ref()
                .map(|content| content.digest)
                .map_err(Clone::clone)
        })
    };
    (
        digest(&files.hook_file),
        digest(&files.component),
        files.component_name.clone(),
        files.packs,
    )
}
