//! Bounds of one attempt's memories and tables: summed over all of them, because wasmtime's own limit counts each alone.

use wasmtime::ResourceLimiter;

use super::settings::{INSTANCES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};

/// What one attempt holds and may hold.
#[derive(Debug)]
pub struct Bounds {
    memory_max: usize,
    memory: usize,
    table_elements: usize,
    /// Some growth was refused.
    pub refused: bool,
}

// === impl Bounds ===

impl Bounds {
    pub fn new(memory_max: usize) -> Bounds {
        Bounds { memory_max, memory: 0, table_elements: 0, refused: false }
    }

    /// All linear memories together, in bytes. Memories never shrink, so this is also the peak.
    pub fn memory(&self) -> usize {
        self.memory
    }

    fn grant(&mut self, granted: bool) -> wasmtime::Result<bool> {
        self.refused |= !granted;
        Ok(granted)
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.memory + (desired - current);
        if sum <= self.memory_max {
            self.memory = sum;
        }
        self.grant(sum <= self.memory_max)
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
        let mut bounds = Bounds::new(100);
        assert!(bounds.memory_growing(0, 60, None).unwrap());
        assert!(!bounds.memory_growing(0, 60, None).unwrap());
        assert!(bounds.memory_growing(60, 100, None).unwrap());
        assert_eq!((bounds.memory(), bounds.refused), (100, true));
    }
}
