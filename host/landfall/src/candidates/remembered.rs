//! What is remembered of candidates, read before the hooks are loaded.

use std::sync::Arc;

use anyhow::Context;
use landfall_hooks::Candidates;
use landfall_ledger::Ledger;

use super::promotions::Promotions;
use super::states::States;

/// What is remembered of candidates, before the hooks are loaded.
pub(crate) struct Remembered {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) states: States,
    pub(super) promotions: Promotions,
    pub(super) candidates: Candidates,
}

// === impl Remembered ===

impl Remembered {
    /// Reads what is remembered, so that hooks begin with their promoted versions.
    pub(crate) async fn read(
        ledger: Arc<dyn Ledger>,
        candidates: Candidates,
    ) -> anyhow::Result<Remembered> {
        let states = States::open(ledger.clone())
            .await
            .context("the ledger cannot be asked for candidates")?;
        let promotions = Promotions::new(ledger.clone(), candidates.clone());
        for hook in states.hooks() {
            promotions.follow(&hook, &states).await;
        }
        Ok(Remembered {
            ledger,
            states,
            promotions,
            candidates,
        })
    }
}
