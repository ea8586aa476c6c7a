//! Loads candidates. A candidate that cannot be loaded changes nothing of its hook.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_engine::Handler;
use landfall_model::{CandidateSpec, ComponentDigest, HookName};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::candidates::{FoundCandidate, VersionFile};
use super::error::{HookError, OtherDigest};
use super::file::Content;
use super::files::{Files, Fingerprint};
use super::hook::Hook;
use super::hook_file::{HookFile, manifest};
use super::load::Loader;
use super::new_grants;

/// The tasks that load candidates, at most one for each hook.
#[derive(Default)]
pub(crate) struct CandidateLoads {
    tasks: JoinSet<LoadedCandidate>,
    by_hook: BTreeMap<HookName, Load>,
}

/// The last load of a hook's candidate.
struct Load {
    /// The files of the hook, and of the candidate.
    tried: (Fingerprint, Fingerprint),
    /// `None`: it has ended.
    task: Option<AbortHandle>,
    /// The same files may load later.
    may_pass: bool,
}

/// A candidate that is to be loaded.
#[derive(Clone)]
pub(crate) struct CandidateFiles {
    /// The files of the hook, as it serves.
    pub(crate) hook: Files,
    /// The file of the candidate, with the same hook file.
    pub(crate) candidate: Files,
}

/// The result of one load.
pub(crate) struct LoadedCandidate {
    pub(crate) name: HookName,
    pub(crate) found: FoundCandidate,
    tried: (Fingerprint, Fingerprint),
    may_pass: bool,
}

// === impl CandidateFiles ===

impl CandidateFiles {
    fn fingerprints(&self) -> (Fingerprint, Fingerprint) {
        (self.hook.fingerprint(), self.candidate.fingerprint())
    }

    /// The version that serves. `None`: it has no component.
    fn serving(&self) -> Option<VersionFile> {
        version(&self.hook)
    }
}

fn version(files: &Files) -> Option<VersionFile> {
    let content = files.component.as_ref()?.as_ref().ok()?;
    let signature = files.signature.as_ref();
    let signature: Option<&Content> = signature.and_then(|signature| signature.as_ref().ok());
    Some(VersionFile::new(content, signature))
}

// === impl CandidateLoads ===

impl CandidateLoads {
    /// Starts to load the candidate of a hook, if it serves from these files and the candidate was
    /// not loaded with them. `again`: also if that has failed and may pass. True: the files differ
    /// from those of the last load.
    pub(crate) fn start(
        &mut self,
        loader: &Arc<Loader>,
        name: &HookName,
        hook: &Arc<Hook>,
        files: CandidateFiles,
        again: bool,
    ) -> bool {
        let (Some(spec), Some(serving)) = (hook.spec.candidate.clone(), files.serving()) else {
            return false;
        };
        let tried = files.fingerprints();
        let last = self.by_hook.get(name);
        let is_same = last.is_some_and(|load| load.tried == tried);
        let is_again = last.is_some_and(|load| again && load.may_pass && load.task.is_none());
        if is_same && !is_again {
            return false;
        }

        self.abort(name);
        let (loader, hook) = (loader.clone(), hook.clone());
        let load = load(
            loader,
            name.clone(),
            hook,
            spec,
            serving,
            files,
            tried.clone(),
        );
        let task = self.tasks.spawn(load);
        let load = Load {
            tried,
            task: Some(task),
            may_pass: false,
        };
        self.by_hook.insert(name.clone(), load);
        !is_same
    }

    /// Forgets the hooks that have no candidate. Returns them.
    pub(crate) fn retain(&mut self, has_candidate: impl Fn(&HookName) -> bool) -> Vec<HookName> {
        let names: Vec<HookName> = self.by_hook.keys().cloned().collect();
        let gone: Vec<HookName> = names
            .into_iter()
            .filter(|name| !has_candidate(name))
            .collect();
        for name in &gone {
            self.abort(name);
            self.by_hook.remove(name);
        }
        gone
    }

    /// Waits for the next load. `None` at once if nothing loads.
    pub(crate) async fn next(&mut self) -> Option<Option<LoadedCandidate>> {
        let ended = self.tasks.join_next().await?;
        Some(self.finish(ended))
    }

    /// The result of a load, unless newer files are being loaded.
    fn finish(&mut self, ended: Result<LoadedCandidate, JoinError>) -> Option<LoadedCandidate> {
        let loaded = match ended {
            Ok(loaded) => loaded,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "loading a candidate panicked");
                }
                return None;
            }
        };
        let load = self.by_hook.get_mut(&loaded.name)?;
        if load.tried != loaded.tried {
            return None;
        }
        load.task = None;
        load.may_pass = loaded.may_pass;
        Some(loaded)
    }

    fn abort(&mut self, name: &HookName) {
        let load = self.by_hook.get_mut(name);
        if let Some(task) = load.and_then(|load| load.task.take()) {
            task.abort();
        }
    }
}

async fn load(
    loader: Arc<Loader>,
    name: HookName,
    hook: Arc<Hook>,
    spec: CandidateSpec,
    serving: VersionFile,
    files: CandidateFiles,
    tried: (Fingerprint, Fingerprint),
) -> LoadedCandidate {
    let loaded = loader.load_candidate(&name, &hook, &files.candidate).await;
    let may_pass = loaded.as_ref().is_err_and(HookError::is_passing);
    let component = &spec.component;
    match &loaded {
        Ok(_) => tracing::info!(hook = %name, component, "candidate loaded"),
        Err(error) => {
            let problem = error.to_string();
            tracing::error!(hook = %name, component, problem, "candidate not loaded: the hook serves as before");
        }
    }
    LoadedCandidate {
        found: FoundCandidate {
            version: version(&files.candidate),
            handler: loaded.map(Arc::new).map_err(|error| error.to_string()),
            spec,
            serving,
        },
        name,
        tried,
        may_pass,
    }
}

// === impl Loader ===

impl Loader {
    /// The candidate of a hook, linked by the grants of the hook file.
    async fn load_candidate(
        &self,
        name: &HookName,
        hook: &Hook,
        files: &Files,
    ) -> Result<Handler, HookError> {
        let component_name = &files.component_name;
        let content = match &files.component {
            Some(Ok(content)) => content,
            Some(Err(error)) => {
                return Err(HookError::File {
                    file: format!("component {component_name}"),
                    error: error.clone(),
                });
            }
            None => {
                return Err(HookError::MissingComponent {
                    component: component_name.clone(),
                    similar: files.similar.clone(),
                });
            }
        };
        let found = ComponentDigest::new(content.digest);
        let pinned = hook.spec.candidate.as_ref().and_then(|spec| spec.digest);
        if let Some(pinned) = pinned.filter(|pinned| *pinned != found) {
            let other = OtherDigest {
                component: component_name.clone(),
                name: name.clone(),
                pinned,
                found,
            };
            return Err(other.into());
        }
        self.trust.check(files, content)?;

        let component = self.component(files, &Ok(content.clone())).await?;
        let manifest = manifest(Some(&component))?;
        let file = HookFile::new(name, files, &self.dir)?;
        let spec = file.spec(Some(&manifest))?;
        file.check_settings(&spec, &manifest)?;
        file.check_strip_prefix(&spec, Some(&component))?;
        new_grants::check_candidate(component_name, &manifest, &spec, hook)?;

        let (sizes, secrets) = (hook.sizes, self.secrets.clone());
        let metrics = hook.metrics.clone();
        let handler = self
            .engine
            .prepare(&component, &spec, sizes, secrets, metrics);
        Ok(handler.await?)
    }
}
