//! What a capability that needs a grant is to the engine. `caps/mod.rs` lists the capabilities.

use std::sync::Arc;

use wasmtime::component::Linker;

use crate::fixed::Fixed;
use crate::recorded_world::RecordedWorld;
use crate::recorder::Recorder;
use landfall_model::{Clock, Effects, GrantKey, Grants, MemoryBudget};

/// A capability: the context of one attempt, whose methods are the host functions. Its interface
/// has the name of its key under `[allow]` and is linked only if the hook file grants it.
pub(crate) trait Capability: Sized + Send + 'static {
    /// The key under `[allow]`.
    const KEY: GrantKey;

    /// The context of an attempt, also of one whose hook does not grant the capability: it must be
    /// cheap.
    fn new(attempt: &AttemptContext<'_>) -> Self;

    /// Links the host functions. `context` finds the capability in the state of a store.
    fn link<T: Send + 'static>(
        linker: &mut Linker<T>,
        context: fn(&mut T) -> &mut Self,
    ) -> wasmtime::Result<()>;

    /// Moves what the attempt has staged to its effects.
    fn take_effects(&mut self, _effects: &mut Effects) {}
}

/// What a capability may know of an attempt.
pub(crate) struct AttemptContext<'a> {
    pub(crate) hook: &'a Arc<str>,
    pub(crate) grants: &'a Grants,
    pub(crate) memory: &'a MemoryBudget,
    pub(crate) clock: Clock,
    /// Set in offline runs, whose ids can be repeated.
    pub(crate) fixed: Option<Fixed>,
    /// `None` for commands without a ledger, such as `check`.
    pub(crate) ledger: Option<&'a Arc<dyn landfall_ledger::Kv>>,
    /// Records what the component reads.
    pub(crate) recorder: &'a Recorder,
    /// In a run on a recording, whose ids are recorded.
    pub(crate) world: Option<&'a Arc<RecordedWorld>>,
}
