//! Runs `init`, within its limits.

use std::time::Duration;

use futures_util::FutureExt;
use wasmtime::component::{Component, Instance};
use wasmtime::{Engine, Store, UpdateDeadline};

use super::limits::{FUNCTION, InitLimits};
use super::link::{self, Refused};
use super::report::InitReport;
use super::state::InitState;
use crate::poll_budget::thread_ns;
use crate::text::bounded;
use crate::trap;

/// The bytes that `init` may pass to the host in one call.
const HOSTCALL_BYTES_MAX: usize = 16 << 20;
const HANDLES_MAX: usize = 1024;

/// Why a component cannot be initialised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    #[error("its init failed: {0}")]
    Failed(String),
    #[error("its init ended with a trap: {0}")]
    Trapped(String),
    #[error(
        "its init called {0}: it runs once, when the component is compiled, without a hook and an event, so that there are no \
         settings, values, rows, emitted events and outbound calls; call it in the handler"
    )]
    Called(String),
    #[error("its init waits: it may only compute; move what sleeps or waits into the handler")]
    Waits,
    #[error("its init takes more than {processor_s} s of processor time: do less in it")]
    TooLong { processor_s: f64 },
    #[error("its init needs more than {mib} MiB of memory: do less in it")]
    Memory { mib: usize },
    #[error(
        "with what its init leaves in memory it is a component of {mib} MiB, and at most 64 MiB are loaded: leave less in memory"
    )]
    Snapshot { mib: usize },
    #[error(
        "the function `init` of its init is not as in wit/init.wit, `init: func() -> result<_, string>`: {0}"
    )]
    OtherType(String),
}

pub(super) enum RunError {
    Init(InitError),
    /// There is no instance. The node says why when it creates one.
    NotStarted(String),
}

/// An instance whose `init` has run.
pub(super) struct Initialised {
    pub(super) store: Store<InitState>,
    pub(super) instance: Instance,
    processor: Duration,
}

/// The processor time of `init` is used up.
#[derive(Debug, thiserror::Error)]
#[error("its processor time is used up")]
struct ProcessorUsed;

impl From<InitError> for RunError {
    fn from(error: InitError) -> RunError {
        RunError::Init(error)
    }
}

/// Creates an instance and calls `init` of its export.
pub(super) fn run(
    engine: &Engine,
    component: &Component,
    export: &str,
    limits: InitLimits,
) -> Result<Initialised, RunError> {
    let linker = link::linker(engine, component).map_err(not_started)?;
    // WASI finds the timers of this thread here. Nothing drives them: a guest that waits for one
    // ends.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| RunError::NotStarted(error.to_string()))?;
    let _context = runtime.enter();
    let mut store = store(engine, limits);
    let started_ns = thread_ns();

    let instance = match linker
        .instantiate_async(&mut store, component)
        .now_or_never()
    {
        None => return Err(InitError::Waits.into()),
        Some(Err(error)) if error.is::<ProcessorUsed>() => return Err(too_long(limits).into()),
        Some(instance) => instance.map_err(not_started)?,
    };
    let init = instance
        .get_export_index(&mut store, None, export)
        .and_then(|interface| instance.get_export_index(&mut store, Some(&interface), FUNCTION))
        .ok_or_else(|| InitError::OtherType("there is no such function".into()))?;
    let init = instance
        .get_typed_func::<(), (Result<(), String>,)>(&mut store, init)
        .map_err(|error| InitError::OtherType(format!("{error:#}")))?;

    match init.call_async(&mut store, ()).now_or_never() {
        None => Err(InitError::Waits.into()),
        Some(Ok((Ok(()),))) => Ok(Initialised {
            store,
            instance,
            processor: Duration::from_nanos(thread_ns().saturating_sub(started_ns)),
        }),
        Some(Ok((Err(text),))) => Err(InitError::Failed(bounded(&text)).into()),
        Some(Err(error)) => Err(why(&error, store.data(), limits).into()),
    }
}

fn store(engine: &Engine, limits: InitLimits) -> Store<InitState> {
    let mut store = Store::new(engine, InitState::new(limits));
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
    store.set_max_component_handles(HANDLES_MAX);

    let processor_ns = u64::try_from(limits.processor.as_nanos()).unwrap_or(u64::MAX);
    let until_ns = thread_ns().saturating_add(processor_ns);
    store.epoch_deadline_callback(move |_| {
        if thread_ns() >= until_ns {
            Err(wasmtime::Error::new(ProcessorUsed))
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
    store.set_epoch_deadline(1);
    store
}

fn too_long(limits: InitLimits) -> InitError {
    InitError::TooLong {
        processor_s: limits.processor.as_secs_f64(),
    }
}

fn not_started(error: wasmtime::Error) -> RunError {
    RunError::NotStarted(format!("{error:#}"))
}

fn why(error: &wasmtime::Error, state: &InitState, limits: InitLimits) -> InitError {
    if let Some(Refused(called)) = error.downcast_ref::<Refused>() {
        return InitError::Called(called.clone());
    }
    if error.is::<ProcessorUsed>() {
        return too_long(limits);
    }
    if state.limiter.was_refused() {
        return InitError::Memory {
            mib: limits.memory_bytes >> 20,
        };
    }
    InitError::Trapped(trap::reason(error, state.log.lines().last_stderr()))
}

// === impl Initialised ===

impl Initialised {
    /// Whether the component holds something of the host, which only this store has.
    pub(super) fn holds_resources(&self) -> bool {
        !self.store.data().resources.is_empty()
    }

    /// What `init` did. `obstacle`: why there is no snapshot.
    pub(super) fn report(&self, obstacle: Option<String>) -> InitReport {
        let state = self.store.data();
        let (lines, _) = state.log.lines().take();
        InitReport {
            obstacle,
            processor_ms: u64::try_from(self.processor.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: state.limiter.memory_bytes() as u64,
            took_random_numbers: state.took_random_numbers(),
            read_environment: state.read_environment,
            lines: lines
                .iter()
                .map(|line| format!("{}: {}", line.level, line.text))
                .collect(),
        }
    }
}
