//! The limits of one attempt's memories and tables, summed over all of them: wasmtime's own limits
//! count each alone.

use wasmtime::ResourceLimiter;

use super::load_error::LoadError;
use super::settings::ComponentLimits;
use landfall_model::MemoryBudget;

/// The parts of a component of which the pool has a limited number.
const COUNTED: [&str; 4] = ["instance", "memories", "memory", "table"];

/// The refusal of a component with more parts than the pool has for one, if this is such an error
/// of wasmtime.
pub(crate) fn too_many_parts(file: &str, error: &str) -> Option<LoadError> {
    let is_meant = COUNTED.iter().any(|what| error.contains(what)) && error.contains("exceed");
    let keys = "limits.component_instances, limits.component_memories, limits.component_tables or limits.table_elements";
    is_meant.then(|| {
        let message =
            format!("needs more than this node has for a component: {error}; raise {keys}");
        LoadError::lasting(file, message)
    })
}

/// What one attempt has allocated, and may allocate.
#[derive(Debug)]
pub(crate) struct ResourceLimits {
    memory: MemoryBudget,
    limits: ComponentLimits,
    table_elements: usize,
    was_refused: bool,
}

// === impl ResourceLimits ===

impl ResourceLimits {
    pub(crate) fn new(memory: MemoryBudget, limits: ComponentLimits) -> ResourceLimits {
        ResourceLimits {
            memory,
            limits,
            table_elements: 0,
            was_refused: false,
        }
    }

    /// All linear memories and what the host holds for the guest.
    pub(crate) fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// Whether the attempt exceeded its limit: in its own memories, or in what the host cannot
    /// refuse to hold.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.was_refused || self.memory.is_overdrawn()
    }

    fn grant(&mut self, granted: bool) -> wasmtime::Result<bool> {
        self.was_refused |= !granted;
        Ok(granted)
    }
}

impl ResourceLimiter for ResourceLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Memories never shrink, so nothing is given back before the attempt ends.
        let fits = self.memory.take(desired - current).is_ok();
        self.grant(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let sum = self.table_elements + (desired - current);
        let fits = sum <= self.limits.table_elements;
        if fits {
            self.table_elements = sum;
        }
        self.grant(fits)
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }

    fn memories(&self) -> usize {
        self.limits.memories as usize
    }

    fn tables(&self) -> usize {
        self.limits.tables as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed() {
        let mut limits = ResourceLimits::new(MemoryBudget::new(100), ComponentLimits::DEFAULT);
        assert!(limits.memory_growing(0, 60, None).unwrap());
        assert!(!limits.memory_growing(0, 60, None).unwrap());
        assert!(limits.memory_growing(60, 100, None).unwrap());
        assert_eq!(
            (limits.memory().peak(), limits.is_out_of_memory()),
            (100, true)
        );
    }
}
