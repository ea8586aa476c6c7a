//! Makes one hook from its files: rules, verifier, component, handler.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::candidates::Candidates;
use super::error::{HookError, OtherDigest, missing_component};
use super::file::FileContent;
use super::files::Files;
use super::hook::{ANSWER_WITHIN, Hook, Serving};
use super::hook_file::{HookFile, manifest, path_alone, references};
use super::key_cache::KeyCache;
use super::platform::Platform;
use super::trust::Trust;
use landfall_config::Manifest;
use landfall_engine::{CAPABILITIES, Component, Engine};
use landfall_metrics::Metrics;
use landfall_model::{
    ComponentDigest, HookName, HookRetention, HookSpec, LedgerWrites, Mode, RedactSpec,
    SecretSource, SizeSpec, VerifySpec,
};
use landfall_verify::{AuthScheme, Packs, Verifier};

/// The most components that are in memory to be loaded at a time.
pub(crate) const LOADS_MAX: usize = 16;

/// What the loader needs of the process.
pub(crate) struct Loader {
    pub(crate) engine: Arc<Engine>,
    pub(crate) secrets: Arc<dyn SecretSource>,
    /// Relative `file:` references start here.
    pub(crate) dir: PathBuf,
    /// How providers sign. Changes with the files of `providers`.
    pub(crate) packs: ArcSwap<Packs>,
    /// Why this node has no queue, if it has none.
    pub(crate) cannot_queue: Option<&'static str>,
    /// Why this node stores no rows and values, if it does not.
    pub(crate) cannot_keep: Option<&'static str>,
    /// The queue keeps no order.
    pub(crate) cannot_order: bool,
    /// Events wait in a broker.
    pub(crate) has_broker: bool,
    pub(crate) platform: Platform,
    /// Which components may be loaded.
    pub(crate) trust: Trust,
    /// Bytes that the node has for all bodies together.
    pub(crate) bodies: usize,
    pub(crate) metrics: Arc<Metrics>,
    /// The versions that are tried, and those that were promoted.
    pub(crate) candidates: Candidates,
    /// One permit for each component that is being loaded.
    pub(crate) permits: Semaphore,
}

/// The text of a hook file that can be read.
pub(crate) struct CheckedText {
    pub(crate) spec: HookSpec,
    /// Why a hook with this file would not be loaded.
    pub(crate) problems: Vec<String>,
    /// No caller is allowed.
    pub(crate) is_closed: bool,
}

// === impl Loader ===

impl Loader {
    /// The hook, ready to serve, or why it cannot be made from these files.
    pub(crate) async fn load(&self, name: &HookName, files: &Files) -> Result<Hook, HookError> {
        let file = HookFile::new(name, files, &self.dir)?;
        let component = match &files.component {
            Some(content) => {
                let spec = file.spec(None)?;
                if let Ok(content) = content {
                    // A pin is for the operator's file, whatever was promoted in its place.
                    let found = ComponentDigest::new(files.over.unwrap_or(content.digest));
                    check_digest(&spec, &files.component_name, found)?;
                    self.trust.check(files, content)?;
                }
                Some(self.component(files, content).await?)
            }
            None => None,
        };
        let manifest = manifest(component.as_ref())?;

        let mut spec = file.spec(Some(&manifest))?;
        let verifier = file.verifier(&spec, &self.packs.load())?;
        self.check_secrets(name, &spec)?;
        file.check_settings(&spec, &manifest)?;
        let sizes = file.sizes(&spec, &verifier, self.bodies)?;
        let flow = Arc::new(file.flow(&spec, &sizes)?);
        self.check_queue(&spec)?;
        file.check_strip_prefix(&spec, component.as_ref())?;

        if spec.answer_within.is_none() {
            spec.answer_within = shorter_answer(&manifest, &spec, &verifier);
        }
        let answer_within = verifier.answer_within().unwrap_or(ANSWER_WITHIN);
        self.platform.shorten(&mut spec, answer_within);
        self.secrets.track(&references(&spec)).await;

        let metrics = self.metrics.hook(&spec.name.shared());
        let serving = match component {
            Some(component) => {
                let secrets = self.secrets.clone();
                let handler =
                    self.engine
                        .prepare(&component, &spec, sizes, secrets, metrics.clone());
                Serving::Ready(Arc::new(handler.await?))
            }
            None => {
                let why = missing_component(&spec.component, files.similar.as_deref());
                Serving::Unavailable(why)
            }
        };
        let permits = self.engine.permits(spec.concurrency);
        Ok(Hook {
            spec,
            verifier: Arc::new(verifier),
            keys: KeyCache::default(),
            sizes,
            flow,
            manifest: Arc::new(manifest),
            serving,
            permits,
            metrics,
            candidate: self.candidates.cell(name),
            target: OnceLock::new(),
        })
    }

    /// Checks the text of a hook file, with the manifest of its component. An error is a mistake
    /// that hides all others.
    pub(crate) fn check_text(
        &self,
        name: &HookName,
        text: &str,
        manifest: &Manifest,
    ) -> Result<CheckedText, HookError> {
        let file = HookFile::with_text(name, text, &self.dir);
        let spec = file.spec(Some(manifest))?;

        let (mut problems, mut is_closed): (Vec<HookError>, bool) = (Vec::new(), false);
        match file.verifier(&spec, &self.packs.load()) {
            Ok(verifier) => {
                is_closed = *verifier.auth_scheme() == AuthScheme::Closed;
                match file.sizes(&spec, &verifier, self.bodies) {
                    Ok(sizes) => {
                        let flow = file.flow(&spec, &sizes);
                        problems.extend(flow.err().map(HookError::from));
                    }
                    Err(error) => problems.push(error.into()),
                }
            }
            Err(error) => problems.push(error.into()),
        }
        problems.extend(self.check_secrets(name, &spec).err());
        let settings = file.check_settings(&spec, manifest);
        problems.extend(settings.err().map(HookError::from));
        problems.extend(self.check_queue(&spec).err());
        Ok(CheckedText {
            problems: problems.iter().map(ToString::to_string).collect(),
            is_closed,
            spec,
        })
    }

    /// Who may call, by the hook file alone.
    pub(crate) fn verifier(
        &self,
        name: &HookName,
        files: &Files,
    ) -> Result<(VerifySpec, Verifier), HookError> {
        let file = HookFile::new(name, files, &self.dir)?;
        let spec = file.spec(None)?;
        let verifier = file.verifier(&spec, &self.packs.load())?;
        self.check_secrets(name, &spec)?;
        Ok((spec.verify, verifier))
    }

    /// A hook that has nothing to run, at the path of its file. Events may be queued for it if the
    /// rest of its file is good; otherwise it is closed, and the sender retries.
    pub(crate) async fn unavailable(&self, name: &HookName, files: &Files, why: &str) -> Hook {
        if let Ok(hook) = self.without_component(name, files, why).await {
            return hook;
        }

        let spec = self.readable_part(name, files);
        let verifier = Verifier::build(&VerifySpec::default(), &Packs::default())
            .expect("an absent [verify] builds");
        let sizes = SizeSpec::default()
            .resolve(None, self.bodies)
            .expect("the defaults fit each other");
        let permits = self.engine.permits(spec.concurrency);
        Hook {
            spec: HookSpec {
                verify: VerifySpec::default(),
                sizes: SizeSpec::default(),
                // Its file may keep events longer than the node does.
                retention: HookRetention::UNKNOWN,
                ..spec
            },
            verifier: Arc::new(verifier),
            keys: KeyCache::default(),
            sizes,
            flow: Arc::default(),
            manifest: Arc::default(),
            serving: Serving::Unavailable(why.into()),
            permits,
            metrics: self.metrics.hook(&name.shared()),
            candidate: self.candidates.cell(name),
            target: OnceLock::new(),
        }
    }

    /// The rules of a hook file with mistakes, or at least its path. Then nobody knows what its
    /// `[redact]` removes.
    fn readable_part(&self, name: &HookName, files: &Files) -> HookSpec {
        let spec_of = |text: &str| HookFile::with_text(name, text, &self.dir).spec(None).ok();
        let Some(file) = &files.hook_file else {
            return spec_of("").expect("an empty hook file has no mistake");
        };
        let text = file.as_ref().ok().and_then(|content| content.text().ok());
        if let Some(spec) = text.and_then(spec_of) {
            return spec;
        }

        let path_alone = path_alone(text.unwrap_or_default());
        let spec = spec_of(&path_alone).or_else(|| spec_of(""));
        HookSpec {
            redact: RedactSpec::unknown(),
            ..spec.expect("an empty hook file has no mistake")
        }
    }

    /// A hook whose file is good and whose component cannot be loaded.
    async fn without_component(
        &self,
        name: &HookName,
        files: &Files,
        why: &str,
    ) -> Result<Hook, HookError> {
        let file = HookFile::new(name, files, &self.dir)?;
        let spec = file.spec(None)?;
        let verifier = file.verifier(&spec, &self.packs.load())?;
        self.check_secrets(name, &spec)?;
        let sizes = file.sizes(&spec, &verifier, self.bodies)?;
        let flow = Arc::new(file.flow(&spec, &sizes)?);
        self.check_queue(&spec)?;

        self.secrets.track(&references(&spec)).await;
        let permits = self.engine.permits(spec.concurrency);
        Ok(Hook {
            spec,
            verifier: Arc::new(verifier),
            keys: KeyCache::default(),
            sizes,
            flow,
            manifest: Arc::default(),
            serving: Serving::Unavailable(why.into()),
            permits,
            metrics: self.metrics.hook(&name.shared()),
            candidate: self.candidates.cell(name),
            target: OnceLock::new(),
        })
    }

    /// A hook may use only the secrets that the operator of the node grants to hook files.
    fn check_secrets(&self, name: &HookName, spec: &HookSpec) -> Result<(), HookError> {
        for reference in references(spec) {
            if let Err(error) = self.secrets.check(&reference) {
                let name = name.clone();
                return Err(HookError::SecretNotGranted { name, error });
            }
        }
        Ok(())
    }

    /// Checks that this node can queue and store what the hook needs.
    fn check_queue(&self, spec: &HookSpec) -> Result<(), HookError> {
        if spec.order_by.is_some() && self.cannot_order {
            return Err(HookError::NoOrder);
        }

        let queued = match spec.mode {
            Mode::Async => Some("mode = \"async\"".to_owned()),
            Mode::Auto => Some("mode = \"auto\"".to_owned()),
            Mode::Sync => None,
        };
        if let (Some(key), Some(why)) = (queued, self.cannot_queue) {
            return Err(HookError::NotOnThisNode { key, why });
        }
        if self.has_broker
            && let Some(table) = held_table(spec)
        {
            return Err(HookError::NotWithBroker(table));
        }
        if let (Some(key), Some(why)) = (stored_key(spec), self.cannot_keep) {
            return Err(HookError::NotOnThisNode { key, why });
        }
        Ok(())
    }

    pub(crate) async fn component(
        &self,
        files: &Files,
        content: &FileContent,
    ) -> Result<Component, HookError> {
        let _permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let name = &files.component_name;
        let content = content.as_ref().map_err(|error| HookError::File {
            file: format!("component {name}"),
            error: error.clone(),
        })?;
        Ok(self.engine.load(name, content.bytes.to_vec()).await?)
    }
}

/// Checks that the component is the version that the hook file pins, before any byte of it is
/// compiled.
pub fn check_digest(
    spec: &HookSpec,
    component: &str,
    found: ComponentDigest,
) -> Result<(), OtherDigest> {
    match spec.digest {
        Some(pinned) if pinned != found => Err(OtherDigest {
            component: component.to_owned(),
            name: spec.name.clone(),
            pinned,
            found,
        }),
        _ => Ok(()),
    }
}

/// The table of a hook file that lets events wait in the ledger.
fn held_table(spec: &HookSpec) -> Option<&'static str> {
    match &spec.flow {
        flow if flow.debounce.is_some() => Some("[debounce]"),
        flow if flow.batch.is_some() => Some("[batch]"),
        _ => None,
    }
}

/// The first grant of a hook file that needs a ledger.
fn stored_key(spec: &HookSpec) -> Option<String> {
    let mut granted = CAPABILITIES
        .iter()
        .filter(|key| spec.allow.capabilities.contains(key.name));
    granted.find_map(|key| match key.writes {
        LedgerWrites::Always => Some(format!("[allow] {}", key.name)),
        LedgerWrites::InSync if spec.mode == Mode::Sync => {
            Some(format!("[allow] {} in mode sync", key.name))
        }
        LedgerWrites::InSync | LedgerWrites::Never => None,
    })
}

/// The `answer_within` that a manifest suggests, if it is below the default. It is for hook files
/// that have none.
pub fn shorter_answer(
    manifest: &Manifest,
    spec: &HookSpec,
    verifier: &Verifier,
) -> Option<Duration> {
    let default = if spec.mode == Mode::Sync {
        spec.deadline
    } else {
        ANSWER_WITHIN
    };
    let default = verifier.answer_within().unwrap_or(default);
    manifest
        .answer_within()
        .filter(|suggested| *suggested < default)
}
