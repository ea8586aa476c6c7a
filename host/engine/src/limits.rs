//! Bounds of one attempt's memories and tables: summed over all of them, because wasmtime's own limit counts each alone.

use wasmtime::ResourceLimiter;

use super::inspect::LoadError;
use super::settings::ComponentLimits;
use landfall_model::MemoryBudget;

/// What the pool has a number of for each component.
const COUNTED: [&str; 4] = ["instance", "memories", "memory", "table"];

/// The refusal of a component with more parts than the pool has for one, if that is what wasmtime says.
pub fn too_many_parts(file: &str, error: &str) -> Option<LoadError> {
    let is_meant = COUNTED.iter().any(|what| error.contains(what)) && error.contains("exceed");
    let keys = "limits.component_instances, limits.component_memories, limits.component_tables or limits.table_elements";
    let message =
        || format!("needs more than this node has for a component: {error}; raise {keys}");
    is_meant.then(|| LoadError::lasting(file, message()))
}

/// What one attempt holds and may hold.
#[derive(Debug)]
pub struct Bounds {
    memory: MemoryBudget,
    limits: ComponentLimits,
    table_elements: usize,
    /// Some growth was refused.
    refused: bool,
}

// === impl Bounds ===

impl Bounds {
    pub fn new(memory: MemoryBudget, limits: ComponentLimits) -> Bounds {
        Bounds {
            memory,
            limits,
            table_elements: 0,
            refused: false,
        }
    }

    /// All linear memories and what the host holds for the guest, together.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// The attempt wanted more than its limit: of its own memories, or of what the host cannot refuse to hold.
    pub fn is_out_of_memory(&self) -> bool {
        self.refused || self.memory.is_overdrawn()
    }

    fn grant(&mut self, granted: bool) -> wasmtime::Result<bool> {
        self.refused |= !granted;
        Ok(granted)
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Memories never shrink: nothing of this is given back before the attempt ends.
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
        let mut bounds = Bounds::new(MemoryBudget::new(100), ComponentLimits::DEFAULT);
        assert!(bounds.memory_growing(0, 60, None).unwrap());
        assert!(!bounds.memory_growing(0, 60, None).unwrap());
        assert!(bounds.memory_growing(60, 100, None).unwrap());
        assert_eq!(
            (bounds.memory().peak(), bounds.is_out_of_memory()),
            (100, true)
        );
    }
}
