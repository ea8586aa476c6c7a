//! Moves shapes between the memory of the node that learns and the ledger.

use landfall_ledger::LedgerError;
use landfall_shape::Shape;

use super::Shapes;
use super::look_error::{LookError, led};
use super::memory::{Kept, Memory, UnsavedPart};

/// Shapes that are kept in memory, in bytes: 32 MiB. Others are read again.
const MEMORY_MAX: usize = 32 << 20;

// === impl Shapes ===

impl Shapes {
    /// Saves and drops all shapes if they use too much memory.
    pub(super) async fn limit_memory(&self, memory: &mut Memory) -> Result<(), LookError> {
        let bytes: usize = memory.kept().map(|kept| kept.bytes).sum();
        if bytes > MEMORY_MAX {
            self.save_all(memory).await?;
            memory.shapes.clear();
        }
        Ok(())
    }

    /// Reads the shape of a type into memory, if it is not there.
    pub(super) async fn load(
        &self,
        memory: &mut Memory,
        hook: &str,
        event_type: &str,
    ) -> Result<(), LedgerError> {
        if memory.kept_mut(hook, event_type).is_none() {
            let stored = self.store.shape(hook, event_type).await?;
            let shape = stored.unwrap_or_else(Shape::new);
            memory.put(hook, event_type.to_owned(), shape);
        }
        Ok(())
    }

    pub(super) async fn save_all(&self, memory: &mut Memory) -> Result<(), LookError> {
        while let Some(hook) = memory.unsaved.first().cloned() {
            self.save_those(memory, &hook, Kept::is_unsaved).await?;
            memory.unsaved.remove(&hook);
        }
        Ok(())
    }

    /// Saves the shapes of a hook that are due, and then how far it was read.
    pub(super) async fn save(&self, memory: &mut Memory, hook: &str) -> Result<(), LookError> {
        self.save_those(memory, hook, Kept::is_due).await
    }

    async fn save_those(
        &self,
        memory: &mut Memory,
        hook: &str,
        is_wanted: impl Fn(&Kept) -> bool + Send,
    ) -> Result<(), LookError> {
        for (event_type, kept) in memory.shapes.get_mut(hook).into_iter().flatten() {
            if is_wanted(kept) {
                let shape = Some(&kept.shape);
                led(self.store.put_shape(hook, event_type, shape).await?)?;
                kept.unsaved = UnsavedPart::Nothing;
            }
        }
        if let Some(state) = memory.hooks.get(hook) {
            led(self.store.put_state(hook, state).await?)?;
        }
        Ok(())
    }
}
