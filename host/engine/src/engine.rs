//! The engine of a process: compiles components, links them for hooks, bounds how many attempts
//! run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::background::BackgroundPool;
use super::cache::{self, Cache};
use super::compile;
use super::component::Component;
use super::environment::Environment;
use super::fixed::Fixed;
use super::handler::Handler;
use super::inspect::inspect;
use super::load_error::LoadError;
use super::permits::Permits;
use super::poll_budget::SLICE;
use super::recorder::RecordingMemory;
use super::run_slots::RunSlots;
use super::runtime::Runtime;
use super::settings;
use super::ticker::Ticker;
use landfall_egress::{Client, Policy};
use landfall_metrics::{HookMetrics, Metrics};
use landfall_model::{Clock, ComponentLimits, HookSpec, SecretSource, Sizes};

/// The process's one engine.
pub struct Engine {
    runtime: Runtime,
    cache: Cache,
    permits: Arc<Semaphore>,
    slots: Arc<RunSlots>,
    running: usize,
}

/// The settings of an engine.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The directory of compiled components, which no other user may read. The key that seals them
    /// lies beside it.
    pub cache: PathBuf,
    /// The most bytes of compiled components in the directory.
    pub cache_max_size: u64,
    /// Read-only directory of compiled components that came with the binary.
    pub bundled: Option<PathBuf>,
    /// The binary that has the `compile` command.
    pub compiler: PathBuf,
    /// The most attempts that run at a time.
    pub running: usize,
    /// The most parts of a component.
    pub limits: ComponentLimits,
    /// Whether the stack of an attempt is cleared before another attempt gets it.
    pub clear_stacks: bool,
    /// The clock of the process.
    pub clock: Clock,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Where compiled functions are kept for the next version of a component, up to 256 MiB. Only
    /// `landfall dev` keeps them: on a node with components of several authors, nothing that one
    /// component's compiler has written may reach another component.
    pub functions: Option<PathBuf>,
    /// The records of outbound calls have the beginnings of the bodies that were sent. Only
    /// `landfall dev` shows them.
    pub keeps_sent: bool,
    /// Outbound calls pass on the trace of their event, in the header `traceparent`.
    pub passes_traces: bool,
}

/// What surrounds a component in an offline run, in place of the ledger, the network and the clock
/// of a node.
pub struct Surroundings {
    /// The clock of the host.
    pub clock: Clock,
    /// The clock and the random numbers of the component. `None`: those of the machine.
    pub fixed: Option<Fixed>,
    /// Where `kv` reads.
    pub kv: Arc<dyn landfall_ledger::Kv>,
    /// Makes the outbound calls.
    pub client: Client,
}

// === impl Engine ===

impl Engine {
    /// Reserves the address space for `running` attempts and starts the ticker. Without a ledger,
    /// `kv` cannot be read.
    pub fn new(
        settings: EngineSettings,
        ledger: Option<Arc<dyn landfall_ledger::Kv>>,
    ) -> anyhow::Result<Engine> {
        Engine::start(settings, ledger, true)
    }

    /// An engine that interrupts no component, so that an attempt takes the same instructions each
    /// time. For counting them: nothing stops a component that computes for ever.
    pub fn uninterrupted(settings: EngineSettings) -> anyhow::Result<Engine> {
        Engine::start(settings, None, false)
    }

    fn start(
        settings: EngineSettings,
        ledger: Option<Arc<dyn landfall_ledger::Kv>>,
        interrupts: bool,
    ) -> anyhow::Result<Engine> {
        let EngineSettings {
            running,
            limits,
            clear_stacks,
            clock,
            ..
        } = settings;
        let wasm = wasmtime::Engine::new(&settings::running(running, limits, clear_stacks))
            .map_err(|error| anyhow::anyhow!("the engine does not start: {error:#}"))?;
        let mut cache = Cache::new(
            &wasm,
            settings.cache,
            settings.bundled,
            settings.compiler,
            settings.cache_max_size,
            clock,
            settings.metrics,
        )?;
        if let Some(dir) = &settings.functions {
            cache = cache.keeping_functions(dir)?;
        }
        let (ticker, slice) = if interrupts {
            (Ticker::start(wasm.weak())?, SLICE)
        } else {
            (Ticker::never(), Duration::MAX)
        };
        let runtime = Runtime {
            wasm,
            ticker: Arc::new(ticker),
            limits,
            background: Arc::new(BackgroundPool::start()?),
            slice,
            ledger,
            clock,
            fixed: None,
            recordings: Some(RecordingMemory::default()),
            keeps_sent: settings.keeps_sent,
            passes_traces: settings.passes_traces,
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Engine {
            runtime,
            cache,
            permits: Arc::new(Semaphore::new(running)),
            slots: RunSlots::new(processors),
            running,
        })
    }

    /// Checks the bytes and gets their machine code, from the cache or from a compiler in a child
    /// process.
    pub async fn load(&self, file: &str, bytes: Vec<u8>) -> Result<Component, LoadError> {
        // Inspection reads tens of megabytes, which would block the executor.
        let name = file.to_owned();
        let inspecting = tokio::task::spawn_blocking(move || {
            inspect(&name, &bytes).map(|inspected| (inspected, bytes))
        });
        let (mut inspected, bytes) = inspecting
            .await
            .map_err(|error| LoadError::passing(file, format!("cannot be inspected: {error}")))??;

        let loaded = self
            .cache
            .code(&self.runtime.wasm, &inspected, bytes)
            .await?;
        if let (Some(of_bytes), Some(report)) = (&mut inspected.init, &loaded.init) {
            if report.memory_bytes > 0 {
                inspected.memory_bytes = report.memory_bytes;
            }
            of_bytes.report = Some(report.clone());
        }
        Ok(Component { inspected, loaded })
    }

    /// Links a component by the grants of a hook and creates one instance to test it. The handler
    /// counts with `metrics`.
    pub async fn prepare(
        &self,
        component: &Component,
        spec: &HookSpec,
        sizes: Sizes,
        secrets: Arc<dyn SecretSource>,
        metrics: Arc<HookMetrics>,
    ) -> Result<Handler, LoadError> {
        let policy = Policy::new(spec.allow.clone());
        let client = Client::new(
            policy,
            spec.credentials.clone(),
            secrets.clone(),
            self.runtime.clock,
        );
        let environment = Environment::new(spec.environment.clone(), secrets);
        Handler::prepare(
            &self.runtime,
            component,
            spec,
            sizes,
            Arc::new(client),
            environment,
            metrics,
        )
        .await
    }

    /// As `prepare`, for a run without a node. `secrets` are those of the component's environment.
    pub async fn prepare_offline(
        &self,
        component: &Component,
        spec: &HookSpec,
        sizes: Sizes,
        secrets: Arc<dyn SecretSource>,
        surroundings: Surroundings,
    ) -> Result<Handler, LoadError> {
        let runtime = Runtime {
            ledger: Some(surroundings.kv),
            clock: surroundings.clock,
            fixed: surroundings.fixed,
            recordings: None,
            ..self.runtime.clone()
        };
        let environment = Environment::new(spec.environment.clone(), secrets);
        let client = Arc::new(surroundings.client);
        let metrics = HookMetrics::detached(&spec.name);
        Handler::prepare(
            &runtime,
            component,
            spec,
            sizes,
            client,
            environment,
            metrics,
        )
        .await
    }

    /// How many attempts run now.
    pub fn running(&self) -> usize {
        self.running
            .saturating_sub(self.permits.available_permits())
    }

    /// How many compiled components were removed because of `cache.max_size` since the start.
    pub fn cache_evictions(&self) -> u64 {
        self.cache.evictions()
    }

    /// Waits until no attempt runs. No attempt can start after that.
    pub async fn idle(&self) {
        let all = u32::try_from(self.running).expect("the config bounds it");
        if let Ok(permits) = self.permits.acquire_many(all).await {
            permits.forget();
        }
    }

    /// The permits of one hook: at most `concurrency`, and together at most those of the node.
    pub fn permits(&self, concurrency: usize) -> Permits {
        Permits::new(self.permits.clone(), &self.slots, concurrency)
    }

    /// The slots of tasks that are ready to run.
    pub fn slots(&self) -> &Arc<RunSlots> {
        &self.slots
    }
}

/// Compiles a component into `out_dir` without an engine that runs: for the build of the image.
pub async fn precompile(
    compiler: &Path,
    out_dir: &Path,
    file: &str,
    bytes: Vec<u8>,
) -> Result<PathBuf, LoadError> {
    let wasm = wasmtime::Engine::new(&settings::compiling())
        .map_err(|error| LoadError::passing(file, format!("cannot be loaded: {error:#}")))?;
    let inspected = inspect(file, &bytes)?;

    let target = out_dir.join(cache::file_name(&wasm, &inspected));
    let init = inspected.init.as_ref().map(|init| init.export.as_str());
    compile::in_child(compiler, file, bytes, &target, None, init).await?;
    Ok(target)
}
