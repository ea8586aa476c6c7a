//! The state of one hook: what its files ask for, what serves, and what is wrong.

use std::sync::Arc;

use super::error::HookError;
use super::files::{Files, Fingerprint};
use super::hook::{Hook, LOADING, Serving};
use super::new_grants;

/// Thorough scans between two attempts to load the same files: about half an hour.
const SCANS_BETWEEN_LOADS_MAX: u32 = 64;

/// One hook of the plugins directory.
pub(crate) struct ManagedHook {
    /// The files of the last load.
    pub(crate) tried: Fingerprint,
    /// What the files ask for. If they are bad, the last good version.
    pub(crate) wanted: Arc<Hook>,
    /// What serves now. It differs from `wanted` while the wanted path is taken by another hook.
    pub(crate) served: Option<Arc<Hook>>,
    /// What is wrong with the files.
    pub(crate) problem: Option<String>,
    /// Whether the hook has a hook file. Its rules end with the file.
    pub(crate) has_file: bool,
    retry: Retry,
}

/// When the same files are loaded again, because the problem may pass.
#[derive(Default)]
struct Retry {
    is_useful: bool,
    /// Thorough scans until the next load.
    scans_left: u32,
    /// The first value of `scans_left`. It doubles with each load.
    pause: u32,
}

// === impl ManagedHook ===

impl ManagedHook {
    /// A new hook whose files are being loaded for the first time. `unavailable` answers 503 at its
    /// path.
    pub(crate) fn loading(unavailable: Hook, files: &Files) -> ManagedHook {
        ManagedHook {
            tried: Fingerprint::default(),
            wanted: Arc::new(unavailable),
            served: None,
            problem: Some(LOADING.to_owned()),
            has_file: files.hook_file.is_some(),
            retry: Retry::default(),
        }
    }

    /// The state after a load: the new hook, or the last good one with a problem. `unavailable`
    /// makes the hook that answers 503.
    pub(crate) async fn after(
        tried: Fingerprint,
        files: &Files,
        before: Option<ManagedHook>,
        loaded: Result<Hook, HookError>,
        unavailable: impl AsyncFnOnce(&str) -> Hook,
    ) -> ManagedHook {
        let pause = before
            .as_ref()
            .filter(|before| before.tried == tried)
            .map_or(0, |before| before.retry.pause);
        let served = before.as_ref().and_then(|old| old.served.clone());
        let last_good = served
            .clone()
            .or(before.map(|old| old.wanted))
            .filter(|old| old.is_ready());
        let loaded = loaded.and_then(|new| match &last_good {
            Some(old) => accept_update(new, old),
            None => Ok(new),
        });

        let served = served.filter(|_| loaded.is_ok() || last_good.is_some());
        let is_useful = loaded.as_ref().is_err_and(HookError::is_passing);
        let (wanted, problem) = match (loaded, last_good) {
            (Ok(new), old) => (Arc::new(take_over(new, old.as_deref())), None),
            (Err(error), Some(old)) => {
                let problem = error.to_string();
                tracing::error!(hook = %old.spec.name, problem, "hook not changed: the last good one goes on serving");
                (old, Some(problem))
            }
            (Err(error), None) => {
                let problem = error.to_string();
                let hook = unavailable(&problem).await;
                tracing::error!(hook = %hook.spec.name, problem, "hook not loaded");
                (Arc::new(hook), Some(problem))
            }
        };
        ManagedHook {
            tried,
            wanted,
            served,
            problem,
            has_file: files.hook_file.is_some(),
            retry: Retry::after(is_useful, pause),
        }
    }

    /// Counts a thorough scan. Returns whether the same files should be loaded again.
    pub(crate) fn count_scan(&mut self) -> bool {
        self.retry.scans_left = self.retry.scans_left.saturating_sub(1);
        self.retry.is_useful && self.retry.scans_left == 0
    }

    /// The versions of the hook: the one that serves first.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = &Arc<Hook>> {
        self.served.iter().chain([&self.wanted])
    }

    /// The same, to be replaced.
    pub(crate) fn hooks_mut(&mut self) -> impl Iterator<Item = &mut Arc<Hook>> {
        self.served.iter_mut().chain([&mut self.wanted])
    }

    /// The components of the versions, and their candidates: that of the version that serves first.
    pub(crate) fn components(&self) -> Vec<String> {
        let specs = self.hooks().map(|hook| &hook.spec);
        let names = specs.flat_map(|spec| {
            let candidate = spec.candidate.iter();
            let candidate = candidate.map(|candidate| &candidate.component);
            [&spec.component].into_iter().chain(candidate)
        });
        names.cloned().collect()
    }
}

// === impl Retry ===

impl Retry {
    /// `pause` is the pause before the load that has just ended, or 0 if the files were new.
    fn after(is_useful: bool, pause: u32) -> Retry {
        let pause = (pause * 2).clamp(1, SCANS_BETWEEN_LOADS_MAX);
        Retry {
            is_useful,
            scans_left: pause,
            pause,
        }
    }
}

/// Refuses an update that requests new grants, or that names another component which is not there.
fn accept_update(new: Hook, old: &Hook) -> Result<Hook, HookError> {
    new_grants::check(&new, old)?;

    let is_other_component = new.spec.component != old.spec.component;
    if is_other_component && !new.is_ready() && !new.is_closed() {
        return Err(HookError::MissingComponent {
            component: new.spec.component,
            similar: None,
        });
    }
    Ok(new)
}

/// Puts a loaded hook in the place of the one that served before.
fn take_over(mut new: Hook, old: Option<&Hook>) -> Hook {
    let (hook, path, component) = (&*new.spec.name, &new.spec.path, &new.spec.component);
    match &new.serving {
        Serving::Ready(_) => {
            tracing::info!(hook, path, component, "hook loaded");
            for warning in new.warnings() {
                tracing::warn!(hook, component, "{warning}");
            }
        }
        Serving::Unavailable(problem) => {
            tracing::warn!(hook, path, problem, "hook has nothing to run");
        }
    }

    if let Some(old) = old.filter(|old| old.spec.concurrency == new.spec.concurrency) {
        // Attempts of the old version that still run keep their permits.
        new.permits = old.permits.clone();
    }
    new
}
