//! Hooks that are gone: what was learned of them is forgotten some time later.

use std::collections::BTreeSet;

use landfall_ledger::{Filter, LedgerError};

use super::Shapes;
use super::look_error::{LookError, led};
use super::memory::Memory;

/// A hook that is missing for this long, and has no delivery, is forgotten,
const MISSING_MAX_MS: i64 = 600_000;
/// after this time also if it has some.
const GONE_MAX_MS: i64 = 86_400_000;

// === impl Shapes ===

impl Shapes {
    /// Forgets hooks that are gone.
    pub(super) async fn forget_missing(
        &self,
        memory: &mut Memory,
        now_ms: i64,
    ) -> Result<(), LookError> {
        let names = self.hooks.names();
        let present: BTreeSet<&str> = names.iter().map(|name| &**name).collect();
        let known: Vec<String> = memory.hooks.keys().cloned().collect();
        for hook in known {
            let Some(state) = memory.hooks.get_mut(&hook) else {
                continue;
            };
            if present.contains(hook.as_str()) {
                if state.gone_ms.take().is_some() {
                    memory.unsaved.insert(hook);
                }
                continue;
            }

            let since = *state.gone_ms.get_or_insert(now_ms);
            memory.unsaved.insert(hook.clone());
            let gone = now_ms.saturating_sub(since);
            if gone >= GONE_MAX_MS || (gone >= MISSING_MAX_MS && self.is_purged(&hook).await?) {
                tracing::info!(hook, "the shapes of a hook that is gone are forgotten");
                memory.drop_hook(&hook);
                led(self.store.remove(&hook).await?)?;
            }
        }
        Ok(())
    }

    /// Whether the ledger has no delivery of the hook.
    async fn is_purged(&self, hook: &str) -> Result<bool, LedgerError> {
        let filter = Filter {
            hook: Some(hook.to_owned()),
            limit: 1,
            ..Filter::default()
        };
        Ok(self.ledger.list(filter).await?.is_empty())
    }
}
