//! The loads that are in progress. One slow component delays no other hook.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};

use super::error::HookError;
use super::files::{Files, Fingerprint};
use super::hook::Hook;
use super::load::Loader;
use landfall_model::HookName;

/// The tasks that load hooks, at most one for each hook.
#[derive(Default)]
pub(crate) struct Loads {
    tasks: JoinSet<Loaded>,
    by_hook: BTreeMap<HookName, (Fingerprint, AbortHandle)>,
}

/// The result of one load.
pub(crate) struct Loaded {
    pub(crate) name: HookName,
    pub(crate) files: Files,
    pub(crate) tried: Fingerprint,
    pub(crate) hook: Result<Hook, HookError>,
}

/// A task that is aborted when its owner is dropped.
struct AbortOnDrop<T>(JoinHandle<T>);

// === impl Loads ===

impl Loads {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_hook.is_empty()
    }

    /// The files of a hook that are being loaded.
    pub(crate) fn loading(&self, name: &HookName) -> Option<&Fingerprint> {
        self.by_hook.get(name).map(|(tried, _)| tried)
    }

    /// Starts to load a hook. A load of older files is aborted.
    pub(crate) fn start(
        &mut self,
        loader: Arc<Loader>,
        name: HookName,
        files: Files,
        tried: Fingerprint,
    ) {
        self.abort(&name);
        let load = load(loader, name.clone(), files, tried.clone());
        let task = self.tasks.spawn(load);
        self.by_hook.insert(name, (tried, task));
    }

    /// Aborts the loads of hooks that are no longer there.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&HookName) -> bool) {
        let names: Vec<HookName> = self.by_hook.keys().cloned().collect();
        for name in names.iter().filter(|name| !is_wanted(name)) {
            self.abort(name);
        }
    }

    /// Waits for the next load. `None` at once if nothing loads.
    pub(crate) async fn next(&mut self) -> Option<Vec<Loaded>> {
        let mut ended = vec![self.tasks.join_next().await?];
        while let Some(next) = self.tasks.try_join_next() {
            ended.push(next);
        }
        Some(
            ended
                .into_iter()
                .filter_map(|ended| self.finish(ended))
                .collect(),
        )
    }

    /// The result of a load, unless newer files are being loaded.
    fn finish(&mut self, ended: Result<Loaded, JoinError>) -> Option<Loaded> {
        let loaded = match ended {
            Ok(loaded) => loaded,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "loading a hook panicked");
                    self.by_hook.retain(|_, (_, task)| !task.is_finished());
                }
                // Otherwise it was aborted, since its files have changed or are gone.
                return None;
            }
        };

        let is_current = self.loading(&loaded.name) == Some(&loaded.tried);
        if !is_current {
            return None;
        }
        self.by_hook.remove(&loaded.name);
        Some(loaded)
    }

    fn abort(&mut self, name: &HookName) {
        if let Some((_, task)) = self.by_hook.remove(name) {
            task.abort();
        }
    }
}

/// Loads a hook in a task of its own, so that a panic is a problem of this hook only.
async fn load(loader: Arc<Loader>, name: HookName, files: Files, tried: Fingerprint) -> Loaded {
    let (its_name, its_files) = (name.clone(), files.clone());
    let task = tokio::spawn(async move { loader.load(&its_name, &its_files).await });
    let hook = match AbortOnDrop(task).join().await {
        Ok(hook) => hook,
        Err(error) => {
            tracing::error!(hook = %name, %error, "loading a hook panicked");
            Err(HookError::Panicked)
        }
    };
    Loaded {
        name,
        files,
        tried,
        hook,
    }
}

// === impl AbortOnDrop ===

impl<T> AbortOnDrop<T> {
    async fn join(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
