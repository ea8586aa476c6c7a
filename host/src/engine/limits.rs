//! Bounds of one attempt's memories and tables: summed over all of them, because wasmtime's own limit counts each alone.

use wasmtime::ResourceLimiter;

use super::settings::{INSTANCES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::model::MemoryBudget;

/// What one attempt holds and may hold.
#[derive(Debug)]
pub struct Bounds {
    memory: MemoryBudget,
    table_elements: usize,
    /// Some growth was refused.
    refused: bool,
}

// === impl Bounds ===

impl Bounds {
    pub fn new(memory: MemoryBudget) -> Bounds {
        Bounds { memory, table_elements: 0, refused: false }
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
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // Memories never shrink: nothing of this is given back before the attempt ends.
        let fits = self.memory.take(desired - current).is_ok();
        self.grant(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.table_elements + (desired - current);
        if sum <= TABLE_ELEMENTS_MAX {
            self.table_elements = sum;
        }
        self.grant(sum <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed() {
        let mut bounds = Bounds::new(MemoryBudget::new(100));
        assert!(bounds.memory_growing(0, 60, None).unwrap());
        assert!(!bounds.memory_growing(0, 60, None).unwrap());
        assert!(bounds.memory_growing(60, 100, None).unwrap());
        assert_eq!((bounds.memory().peak(), bounds.is_out_of_memory()), (100, true));
    }
}
