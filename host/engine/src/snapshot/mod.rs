//! Components with an `init`: it runs once, in the process of the compiler, and what is compiled is
//! the component with the memory that `init` left. Each event starts with a copy of that memory.
//!
//! A component that the snapshotter (wasmtime-wizer) cannot rewrite is compiled as it is. Its
//! `init` runs at the start of each event instead, and the report says why.

mod access;
mod init;
pub(crate) mod limits;
mod link;
pub(crate) mod report;
mod state;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;
use wasmparser::{CanonicalFunction, Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wizer::{ComponentContext, Wizer};

use self::access::Access;
use self::init::{InitError, Initialised, RunError};
use self::limits::InitLimits;
use self::report::InitReport;
use super::address_space;
use super::inspect::COMPONENT_BYTES_MAX;
use super::text::bounded;
use super::ticker::Ticker;

/// Part of the names of compiled components with an `init`: the version of wasmtime-wizer, and of
/// what this module does with it.
pub(crate) const SNAPSHOTTER: &str = "wasmtime-wizer 48.0.8, 3";

/// Why a component that creates resources has no snapshot.
const OWN_RESOURCES: &str = "it has resources of its own, whose handles are not in its memory";

/// Machine code, and what became of `init`.
pub(crate) struct Compiled {
    pub(crate) code: Vec<u8>,
    pub(crate) report: InitReport,
}

/// Why a component with an `init` is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("cannot be initialised: {0}")]
    Init(#[from] InitError),
    #[error("{0}")]
    Compiler(String),
}

/// A snapshot of a component, and what `init` did.
struct Snapshot {
    bytes: Vec<u8>,
    report: InitReport,
}

/// Runs the `init` of the interface `export`, and compiles the component with what it left in
/// memory.
pub(crate) fn compile(
    engine: &Engine,
    bytes: &[u8],
    export: &str,
    limits: InitLimits,
) -> Result<Compiled, CompileError> {
    // Running components check their limits when the epoch changes.
    let ticker = Ticker::start(engine.weak());
    let ticker = ticker.map_err(|error| CompileError::Compiler(error.to_string()))?;
    let _guest = ticker.guest();

    let obstacle = match compile_snapshot(engine, bytes, export, limits)? {
        Ok(compiled) => return Ok(compiled),
        Err(obstacle) => bounded(&obstacle),
    };
    compile_as_it_is(engine, bytes, export, limits, obstacle)
}

/// What keeps the snapshotter from rewriting a component, as far as its bytes say.
pub fn obstacle(bytes: &[u8]) -> Option<String> {
    let prepared = prepared(&wizer(), bytes);
    prepared.err().map(|obstacle| bounded(&obstacle))
}

/// The inner error is an obstacle: there is no snapshot.
fn compile_snapshot(
    engine: &Engine,
    bytes: &[u8],
    export: &str,
    limits: InitLimits,
) -> Result<Result<Compiled, String>, CompileError> {
    let wizer = wizer();
    let (context, prepared) = match prepared(&wizer, bytes) {
        Ok(prepared) => prepared,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    let component = match Component::new(engine, &prepared) {
        Ok(component) => component,
        Err(error) => {
            let obstacle = format!("prepared for it, it does not compile: {error:#}");
            return Ok(Err(obstacle));
        }
    };
    drop(prepared);

    let taken = address_space::with_linear_memories(|| {
        take_snapshot(engine, &component, export, limits, &wizer, &context)
    });
    let Snapshot { bytes, report } = match taken? {
        Ok(snapshot) => snapshot,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    drop(component);

    Ok(match engine.precompile_component(&bytes) {
        Ok(code) => Ok(Compiled { code, report }),
        Err(error) => Err(format!("its snapshot does not compile: {error:#}")),
    })
}

fn take_snapshot(
    engine: &Engine,
    component: &Component,
    export: &str,
    limits: InitLimits,
    wizer: &Wizer,
    context: &ComponentContext<'_>,
) -> Result<Result<Snapshot, String>, CompileError> {
    let mut initialised = match init::run(engine, component, export, limits) {
        Ok(initialised) => initialised,
        Err(RunError::Init(error)) => return Err(error.into()),
        Err(RunError::NotStarted(error)) => return Ok(Err(error)),
    };
    if initialised.holds_resources() {
        let obstacle = "its init leaves a stream or another resource of the host open, which a snapshot cannot keep: close it, \
            and write no output in init";
        return Ok(Err(obstacle.into()));
    }

    let report = initialised.report(None);
    let bytes = match rewritten(wizer, context, &mut initialised) {
        Ok(bytes) => bytes,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    if bytes.len() > COMPONENT_BYTES_MAX {
        let mib = bytes.len() >> 20;
        return Err(InitError::Snapshot { mib }.into());
    }
    Ok(Ok(Snapshot { bytes, report }))
}

/// The component with the present memories and globals of its instance.
fn rewritten(
    wizer: &Wizer,
    context: &ComponentContext<'_>,
    initialised: &mut Initialised,
) -> Result<Vec<u8>, String> {
    let mut access = Access::new(initialised);
    let bytes = guarded(|| {
        let reading = wizer.snapshot_component(context, &mut access);
        match reading.now_or_never() {
            Some(bytes) => bytes,
            None => Err(wasmtime::Error::msg("reading its memory waits")),
        }
    });

    match access.error() {
        Some(error) => Err(format!(
            "its memory cannot be read, for which it must be able to grow by a page: {error:#}"
        )),
        None => bytes,
    }
}

/// The component itself. `init` runs all the same, so that the author of a bad one hears of it now.
fn compile_as_it_is(
    engine: &Engine,
    bytes: &[u8],
    export: &str,
    limits: InitLimits,
    obstacle: String,
) -> Result<Compiled, CompileError> {
    let component = Component::new(engine, bytes)
        .map_err(|error| CompileError::Compiler(format!("{error:#}")))?;
    let report = address_space::with_linear_memories(|| {
        match init::run(engine, &component, export, limits) {
            Ok(initialised) => Ok(initialised.report(Some(obstacle))),
            Err(RunError::Init(error)) => Err(error),
            // The node finds and says why, when it links the component.
            Err(RunError::NotStarted(_)) => Ok(InitReport::untested(obstacle)),
        }
    })?;

    let code = component
        .serialize()
        .map_err(|error| CompileError::Compiler(format!("{error:#}")))?;
    Ok(Compiled { code, report })
}

/// The component with the functions by which the snapshotter reads it.
fn prepared<'a>(wizer: &Wizer, bytes: &'a [u8]) -> Result<(ComponentContext<'a>, Vec<u8>), String> {
    if creates_resources(bytes) {
        return Err(OWN_RESOURCES.into());
    }
    guarded(|| wizer.instrument_component(bytes))
}

/// Whether a component can have handles of its own resources. The host keeps them, and an instance
/// that starts from a snapshot has none.
fn creates_resources(bytes: &[u8]) -> bool {
    let mut payloads = Parser::new(0).parse_all(bytes).map_while(Result::ok);
    payloads.any(|payload| match payload {
        Payload::ComponentCanonicalSection(functions) => functions
            .into_iter()
            .any(|function| matches!(function, Ok(CanonicalFunction::ResourceNew { .. }))),
        _ => false,
    })
}

fn wizer() -> Wizer {
    let mut wizer = Wizer::new();
    // The exports of a component are those that its author knows.
    wizer.keep_init_func(true);
    wizer
}

/// The snapshotter asserts what it expects of a component.
fn guarded<T>(work: impl FnOnce() -> wasmtime::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err("the snapshotter does not know a part of it".into()),
    }
}
