//! Ends the differences that the last events do not have, or that are a part of the shape by now.

use landfall_shape::Closed;

use super::Shapes;
use super::look_error::LookError;
use super::memory::Memory;

// === impl Shapes ===

impl Shapes {
    pub(super) async fn close_differences(
        &self,
        memory: &mut Memory,
        now_ms: i64,
    ) -> Result<(), LookError> {
        for (hook, event_type) in memory.open_types() {
            let served = self.hooks.named(&hook);
            let rules = served.and_then(|served| self.rules(&served));
            let rules = rules.unwrap_or_else(|| self.node_rules());
            self.limit_memory(memory).await?;
            self.load(memory, &hook, &event_type).await?;
            let Some(kept) = memory.kept_mut(&hook, &event_type) else {
                continue;
            };
            let closed = kept.shape.close_differences(now_ms, &rules);
            // A shape that was damaged is learned anew: what was open is not any more.
            let is_anew = kept.shape.differences().is_empty();
            if closed.is_empty() && !is_anew {
                continue;
            }

            for (difference, why) in &closed {
                let why = match why {
                    Closed::Over => "the last events do not have it",
                    Closed::Adopted => "it is a part of the shape by now",
                };
                tracing::info!(
                    hook,
                    event_type,
                    "a difference from the shape has ended: {difference}: {why}"
                );
            }
            memory.note_change(&hook, &event_type);
            self.save(memory, &hook).await?;
        }
        Ok(())
    }
}
