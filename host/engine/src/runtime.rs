//! What the handlers of a process share.

use std::sync::Arc;
use std::time::Duration;

use super::background::BackgroundPool;
use super::fixed::Fixed;
use super::recorder::RecordingMemory;
use super::ticker::Ticker;
use landfall_model::{Clock, ComponentLimits};

/// The parts of the engine that an attempt needs.
#[derive(Clone)]
pub(crate) struct Runtime {
    pub(crate) wasm: wasmtime::Engine,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) limits: ComponentLimits,
    pub(crate) background: Arc<BackgroundPool>,
    /// The CPU time of an attempt before it yields.
    pub(crate) slice: Duration,
    /// Where `kv` reads. `None` for commands that have no ledger, such as `check`.
    pub(crate) ledger: Option<Arc<dyn landfall_ledger::Kv>>,
    pub(crate) clock: Clock,
    /// The clock and the random numbers of components, for offline runs. `None`: those of the
    /// machine.
    pub(crate) fixed: Option<Fixed>,
    /// The memory of recordings. `None`: attempts are not recorded by themselves.
    pub(crate) recordings: Option<RecordingMemory>,
    /// The records of outbound calls have the beginnings of the bodies that were sent.
    pub(crate) keeps_sent: bool,
    /// Outbound calls pass on the trace of their event.
    pub(crate) passes_traces: bool,
}
