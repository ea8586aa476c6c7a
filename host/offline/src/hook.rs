//! A hook without a node: its hook file, its component, and the engine that runs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_config::{ConfigError, Manifest, nearest};
use landfall_egress::{Client, Policy};
use landfall_engine::{Component, Engine, EngineSettings, Fixed, Handler, Surroundings};
use landfall_flow::Flow;
use landfall_hooks::{HookFile, OtherDigest, check_digest, manifest, packs, shorter_answer};
use landfall_model::{
    Clock, ComponentDigest, ComponentLimits, CredentialPart, EnvironmentVariable, HookName,
    HookSpec, Mode, SecretSource, Sizes,
};
use landfall_verify::{Packs, Verifier};

use crate::calls::ScriptedCalls;
use crate::case::Case;
use crate::error::OfflineError;
use crate::files;
use crate::kv::MemoryKv;
use crate::secrets::Placeholders;

/// Runs are made one after the other.
const RUNNING: usize = 1;
const CACHE_BYTES_MAX: u64 = 512 << 20;
/// What a node has for all bodies, by default.
const BODIES: usize = 256 << 20;

/// The engine of a command.
pub struct OfflineEngine {
    engine: Engine,
}

/// A hook, ready for cases.
pub(crate) struct OfflineHook {
    pub(crate) name: HookName,
    text: String,
    dir: PathBuf,
    pub(crate) spec: HookSpec,
    pub(crate) verifier: Verifier,
    pub(crate) sizes: Sizes,
    pub(crate) flow: Flow,
    pub(crate) packs: Packs,
    manifest: Manifest,
    component: Component,
    /// The time from the bytes to the linked component.
    pub(crate) load_time: Duration,
}

/// Where the secrets and the answers of a run come from.
pub(crate) enum Outside {
    /// The answers of the case.
    Faked(Arc<ScriptedCalls>),
    /// The network, with real credentials.
    Network {
        secrets: Arc<dyn SecretSource>,
        clock: Clock,
    },
}

// === impl OfflineEngine ===

impl OfflineEngine {
    /// Starts an engine with the limits of a node. `compiler` is the binary that has the `compile`
    /// command.
    pub fn start(
        cache: PathBuf,
        compiler: PathBuf,
        clock: Clock,
    ) -> Result<OfflineEngine, OfflineError> {
        // The engine creates the cache, with the permissions that it requires.
        let settings = EngineSettings {
            cache,
            cache_max_size: CACHE_BYTES_MAX,
            bundled: None,
            compiler,
            running: RUNNING,
            limits: ComponentLimits::DEFAULT,
            clear_stacks: false,
            clock,
            metrics: Arc::default(),
            functions: None,
            keeps_sent: false,
            passes_traces: false,
        };
        let engine = Engine::new(settings, None)
            .map_err(|error| OfflineError::Other(format!("{error:#}")))?;
        Ok(OfflineEngine { engine })
    }

    /// Loads a component under a hook file. Without one, the hook grants nothing.
    pub(crate) async fn load(
        &self,
        hook_file: Option<&Path>,
        component: impl FnOnce(&HookSpec) -> Result<PathBuf, OfflineError>,
        name: &str,
    ) -> Result<OfflineHook, OfflineError> {
        self.load_with(hook_file, component, name, check_digest)
            .await
    }

    /// Loads a component in place of the one that the hook file names and may pin.
    pub(crate) async fn load_candidate(
        &self,
        hook_file: Option<&Path>,
        component: PathBuf,
        name: &str,
    ) -> Result<OfflineHook, OfflineError> {
        self.load_with(hook_file, |_| Ok(component), name, |_, _, _| Ok(()))
            .await
    }

    async fn load_with(
        &self,
        hook_file: Option<&Path>,
        component: impl FnOnce(&HookSpec) -> Result<PathBuf, OfflineError>,
        name: &str,
        check_digest: impl FnOnce(&HookSpec, &str, ComponentDigest) -> Result<(), OtherDigest>,
    ) -> Result<OfflineHook, OfflineError> {
        let name: HookName = name
            .parse()
            .map_err(|error| OfflineError::Other(format!("the name of the hook file: {error}")))?;
        let text = match hook_file {
            Some(path) => {
                files::read_text(path).map_err(|error| OfflineError::unreadable(path, error))?
            }
            None => String::new(),
        };
        let dir = hook_file.and_then(Path::parent).unwrap_or(Path::new("."));

        let file = HookFile::with_text(&name, &text, dir);
        let spec = file.spec(None)?;
        let path = component(&spec)?;
        let bytes = files::read(&path).map_err(|error| OfflineError::unreadable(&path, error))?;
        let shown = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        check_digest(&spec, &shown, ComponentDigest::of(&bytes))?;
        let started = Instant::now();
        let component = self.engine.load(&shown, bytes).await?;
        let load_time = started.elapsed();

        let manifest = manifest(Some(&component))?;
        let mut spec = file.spec(Some(&manifest))?;
        let packs = packs(Some(&dir.join("providers")))
            .map_err(|error| OfflineError::Other(format!("{error:#}")))?;
        let verifier = file.verifier(&spec, &packs)?;
        let sizes = file.sizes(&spec, &verifier, BODIES)?;
        let flow = file.flow(&spec, &sizes)?;
        if spec.answer_within.is_none() {
            spec.answer_within = shorter_answer(&manifest, &spec, &verifier);
        }
        file.check_strip_prefix(&spec, Some(&component))?;
        Ok(OfflineHook {
            dir: dir.to_owned(),
            spec,
            verifier,
            sizes,
            flow,
            packs,
            manifest,
            component,
            load_time,
            name,
            text,
        })
    }

    /// Links the component for runs on recordings, which replace everything that surrounds it.
    pub(crate) async fn recorded_handler(
        &self,
        hook: &OfflineHook,
    ) -> Result<Arc<Handler>, OfflineError> {
        let secrets: Arc<dyn SecretSource> = Arc::new(Placeholders);
        let clock = Clock::fixed_at(0);
        let policy = Policy::new(hook.spec.allow.clone());
        let surroundings = Surroundings {
            clock,
            fixed: None,
            kv: Arc::new(MemoryKv::new(&BTreeMap::new())),
            client: Client::without_credentials(policy),
        };
        let handler = self
            .engine
            .prepare_offline(
                &hook.component,
                &hook.spec,
                hook.sizes,
                secrets,
                surroundings,
            )
            .await?;
        Ok(Arc::new(handler))
    }

    /// Links the component for one case.
    pub(crate) async fn handler(
        &self,
        hook: &OfflineHook,
        case: &Case,
        outside: Outside,
    ) -> Result<Arc<Handler>, OfflineError> {
        let spec = hook.spec_of(case)?;
        let policy = Policy::new(spec.allow.clone());
        let credentials = spec.credentials.clone();
        let stopped = Clock::Fixed(case.now);
        let fixed = Some(Fixed {
            now: case.now,
            seed: case.seed,
        });
        let kv = Arc::new(MemoryKv::new(&case.kv));

        let (secrets, surroundings) = match outside {
            Outside::Faked(calls) => {
                let secrets: Arc<dyn SecretSource> = Arc::new(Placeholders);
                let client = Client::new(policy, credentials, secrets.clone(), stopped);
                let surroundings = Surroundings {
                    clock: stopped,
                    fixed,
                    kv,
                    client: client.answered_by(calls.answerer()),
                };
                (secrets, surroundings)
            }
            Outside::Network { secrets, clock } => {
                let surroundings = Surroundings {
                    clock,
                    // Servers and signatures need the present time, unless the case names one.
                    fixed: fixed.filter(|_| case.has_now),
                    kv,
                    client: Client::new(policy, credentials, secrets.clone(), clock),
                };
                (secrets, surroundings)
            }
        };
        let handler = self
            .engine
            .prepare_offline(&hook.component, &spec, hook.sizes, secrets, surroundings)
            .await?;
        Ok(Arc::new(handler))
    }
}

// === impl OfflineHook ===

impl OfflineHook {
    /// The rules of the hook with the settings and the environment of a case.
    fn spec_of(&self, case: &Case) -> Result<HookSpec, OfflineError> {
        let mut spec = self.spec.clone();
        for (name, value) in &case.environment {
            let mut granted = spec.environment.iter_mut();
            let Some(variable) = granted.find(|one| one.name == *name) else {
                return Err(not_granted(case, name, &self.spec.environment).into());
            };
            variable.value = vec![CredentialPart::Literal(value.clone())];
        }
        spec.settings.extend(case.settings.clone());
        HookFile::with_text(&self.name, &self.text, &self.dir)
            .check_settings(&spec, &self.manifest)
            .map_err(|error| {
                if case.settings.is_empty() {
                    OfflineError::Config(error)
                } else {
                    let shown = &case.source.shown;
                    OfflineError::Other(format!("{shown}, with its [settings]: {}", error.message))
                }
            })?;
        Ok(spec)
    }

    /// The longest time of one attempt.
    pub(crate) fn deadline(&self) -> Duration {
        let answer_within = self.spec.answer_within.or(self.verifier.answer_within());
        match (self.spec.mode, answer_within) {
            (Mode::Sync, Some(within)) => within.min(self.spec.deadline),
            _ => self.spec.deadline,
        }
    }
}

/// A handler sees only the variables of its hook file, also in a case.
fn not_granted(case: &Case, name: &str, granted: &[EnvironmentVariable]) -> ConfigError {
    let known: Vec<&str> = granted.iter().map(|one| one.name.as_str()).collect();
    let way_out = match nearest(name, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("add {name} to its [environment]"),
    };
    let why = format!("the hook file does not grant this variable: {way_out}");
    case.mistake(&["environment", name], why)
}

/// The name of the hook of a hook file, or of a component without one.
pub(crate) fn hook_name(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
