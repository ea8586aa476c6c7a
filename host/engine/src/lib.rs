//! Runs components: compiled once and cached, linked by grants, a fresh store for every attempt, everything bounded.
//!
//! Three lifetimes are three structs: `Engine` (process), `Handler` (hook), `State` (attempt). The only module that
//! knows wasmtime.
#![deny(unsafe_code)]

mod bindings;
mod cache;
mod caps;
mod compile;
mod component;
mod confine;
mod drafts;
mod environment;
mod inspect;
mod lane;
mod limits;
mod link;
mod proxy;
mod reply;
mod run;
mod settings;
mod slots;
mod state;
mod syscalls;
mod target;
mod ticker;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::environment::Environment;
use landfall_egress::{Client, Policy};
use landfall_model::{ComponentLimits, HookSpec, SecretSource, Sizes};

pub use cache::{CacheUse, cache_use};
pub use compile::compile_child;
pub use component::Component;
pub use confine::Confinement;
pub use inspect::{Inspected, LoadError, grant_for, inspect};
pub use run::Handler;
pub use slots::{NoSlot, Slot, Slots};
pub use target::{OrderOf, Target};

/// The process's one engine.
pub struct Engine {
    wasm: wasmtime::Engine,
    cache: cache::Cache,
    places: Arc<tokio::sync::Semaphore>,
    running: usize,
    limits: ComponentLimits,
    lane: Arc<lane::Lane>,
    ledger: Option<Arc<dyn landfall_ledger::Kv>>,
}

/// How an engine is set up.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Compiled components are kept below it, readable by nobody else. The key that seals them lies beside it.
    pub cache: PathBuf,
    /// The most bytes of compiled components that are kept.
    pub cache_max_size: u64,
    /// Compiled components that came with the binary, read only.
    pub bundled: Option<PathBuf>,
    /// The binary that has the `compile` command.
    pub compiler: PathBuf,
    /// Attempts at once.
    pub running: usize,
    /// How many parts a component may have.
    pub limits: ComponentLimits,
}

// === impl Engine ===

impl Engine {
    /// Reserves the address space for `running` attempts and starts the ticker.
    /// Without a ledger nothing can be read from `kv`.
    pub fn new(
        settings: EngineSettings,
        ledger: Option<Arc<dyn landfall_ledger::Kv>>,
    ) -> anyhow::Result<Engine> {
        let wasm = wasmtime::Engine::new(&settings::running(settings.running, settings.limits))
            .map_err(|error| anyhow::anyhow!("the engine does not start: {error:#}"))?;
        ticker::start(wasm.weak())?;
        let cache = cache::Cache::new(
            &wasm,
            settings.cache,
            settings.bundled,
            settings.compiler,
            settings.cache_max_size,
        )?;
        let places = Arc::new(tokio::sync::Semaphore::new(settings.running));
        let lane = Arc::new(lane::Lane::start()?);
        Ok(Engine {
            wasm,
            cache,
            places,
            running: settings.running,
            limits: settings.limits,
            lane,
            ledger,
        })
    }

    /// Checks the bytes and gets their machine code, from the cache or from a compiler in a child process.
    pub async fn load(&self, file: &str, bytes: Vec<u8>) -> Result<Component, LoadError> {
        // Reading tens of megabytes is nothing for the threads that serve.
        let name = file.to_owned();
        let inspecting = tokio::task::spawn_blocking(move || {
            inspect(&name, &bytes).map(|inspected| (inspected, bytes))
        });
        let passing = |error| LoadError::passing(file, format!("cannot be inspected: {error}"));
        let (inspected, bytes) = inspecting.await.map_err(passing)??;
        let code = self.cache.code(&self.wasm, &inspected, bytes).await?;
        Ok(Component { inspected, code })
    }

    /// Links a component by the grants of a hook and tries one instance of it.
    pub async fn prepare(
        &self,
        component: &Component,
        spec: &HookSpec,
        sizes: Sizes,
        secrets: Arc<dyn SecretSource>,
    ) -> Result<Handler, LoadError> {
        let way_out = Client::new(
            Policy::new(spec.allow.clone()),
            spec.credentials.clone(),
            secrets.clone(),
        );
        let environment = Environment::new(spec.environment.clone(), secrets);
        Handler::prepare(self, component, spec, sizes, Arc::new(way_out), environment).await
    }

    /// Attempts that run now.
    pub fn running(&self) -> usize {
        self.running.saturating_sub(self.places.available_permits())
    }

    /// Compiled components that were removed because of `cache.max_size` since the start.
    pub fn cache_evictions(&self) -> u64 {
        self.cache.evictions()
    }

    /// Returns when nothing runs. Whoever comes after this waits for ever.
    pub async fn idle(&self) {
        let all = u32::try_from(self.running).expect("the config bounds it");
        if let Ok(places) = self.places.acquire_many(all).await {
            places.forget();
        }
    }

    /// Places for the attempts of one hook: its own bound within the node's.
    pub fn slots(&self, concurrency: usize) -> Slots {
        Slots::new(self.places.clone(), concurrency)
    }
}

/// What a component would be compiled into, without an engine that runs: for the image's build.
pub async fn precompile(
    compiler: &Path,
    out_dir: &Path,
    file: &str,
    bytes: Vec<u8>,
) -> Result<PathBuf, LoadError> {
    let wasm = wasmtime::Engine::new(&settings::compiling())
        .map_err(|error| LoadError::passing(file, format!("cannot be loaded: {error:#}")))?;
    let inspected = inspect(file, &bytes)?;
    let target = out_dir.join(cache::file_name(&wasm, &inspected.digest));
    compile::in_child(compiler, file, bytes, &target).await?;
    Ok(target)
}
