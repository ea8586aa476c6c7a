//! The store of one attempt.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::{Store, UpdateDeadline};

use super::Handler;
use super::world::World;
use crate::attempt::{DeadlinePassed, MemoryOverdrawn};
use crate::caps::Capabilities;
use crate::caps::capability::AttemptContext;
use crate::caps::http::{CallRecord, Caller, Http};
use crate::environment::Resolved;
use crate::limits::ResourceLimits;
use crate::poll_budget::PollBudget;
use crate::state::AttemptState;
use crate::ticker::TickedGuest;
use landfall_model::{Event, MemoryBudget, TRACEPARENT, TraceContext};

/// The bytes that a guest may pass to the host in one call.
const HOSTCALL_BYTES_MAX: usize = 16 << 20;
const HANDLES_MAX: usize = 1024;

// === impl Handler ===

impl Handler {
    /// The store of an attempt in this world, which ends with its budget. The guest in it checks
    /// its deadline while it is one of the ticker.
    pub(super) fn store(
        &self,
        _: &TickedGuest<'_>,
        event: Option<Arc<Event>>,
        environment: Resolved,
        budget: Arc<PollBudget>,
        world: &World,
    ) -> Store<AttemptState> {
        let until = budget.until();
        let memory = MemoryBudget::new(self.sizes.memory);
        let trace = event.as_ref().and_then(|event| self.trace_of(event));
        let recorded = world.recorded.clone();
        let recorded = recorded.map(|recorded| recorded as Arc<dyn landfall_ledger::Kv>);
        let capabilities = Capabilities::new(&AttemptContext {
            hook: &self.hook,
            grants: &self.grants,
            memory: &memory,
            clock: self.runtime.clock,
            fixed: self.runtime.fixed,
            ledger: recorded.as_ref().or(self.runtime.ledger.as_ref()),
            recorder: &world.recorder,
            world: world.recorded.as_ref(),
        });
        let caller = Caller {
            client: self.client.clone(),
            world: world.recorded.clone(),
        };
        let metrics = match world.recorded {
            None => Some(self.outbound.clone()),
            Some(_) => None,
        };
        let keeps_sent = self.runtime.keeps_sent;
        let record = CallRecord::new(metrics, until, world.recorder.clone(), keeps_sent);
        let state = AttemptState::new(
            ResourceLimits::new(memory.clone(), self.runtime.limits),
            environment,
            self.sources_in(world),
            self.settings_in(world),
            Http::new(caller, event, until, memory.clone(), record, trace),
            capabilities,
        );

        let mut store = Store::new(&self.runtime.wasm, state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX.max(self.sizes.max_body * 2));
        store.set_max_component_handles(HANDLES_MAX);

        // A guest that computes for long yields, so that it does not block a thread of the
        // executor.
        store.epoch_deadline_callback(move |mut store| {
            store.data_mut().count_resources();
            if Instant::now() >= until {
                Err(wasmtime::Error::new(DeadlinePassed))
            } else if memory.is_overdrawn() {
                Err(wasmtime::Error::new(MemoryOverdrawn))
            } else if budget.check_exceeded() {
                Ok(UpdateDeadline::Yield(1))
            } else {
                Ok(UpdateDeadline::Continue(1))
            }
        });
        store.set_epoch_deadline(1);
        store
    }

    /// The trace that outbound calls pass on.
    fn trace_of(&self, event: &Event) -> Option<TraceContext> {
        if !self.runtime.passes_traces {
            return None;
        }
        event.attribute(TRACEPARENT).and_then(TraceContext::parse)
    }
}
