//! Why the ledger accepts no events, while it accepts none.

use std::sync::{Arc, Mutex};

use crate::error::LedgerError;
use landfall_model::lock;

/// Why the ledger accepts no events at the moment. Only a durable write that changed a page clears
/// it.
#[derive(Clone)]
pub(super) struct Refusal(Arc<Mutex<Option<LedgerError>>>);

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(why: Option<LedgerError>) -> Refusal {
        Refusal(Arc::new(Mutex::new(why)))
    }

    pub(super) fn get(&self) -> Option<LedgerError> {
        lock(&self.0).clone()
    }

    pub(super) fn set(&self, why: LedgerError) {
        let before = lock(&self.0).replace(why.clone());
        if before.as_ref() != Some(&why) {
            tracing::error!(error = %why, "the ledger accepts no events until a write succeeds again");
        }
    }

    pub(super) fn clear(&self) {
        if lock(&self.0).take().is_some() {
            tracing::info!("a write to the ledger succeeded: events are accepted again");
        }
    }
}
