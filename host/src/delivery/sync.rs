//! Mode `sync`: run now, answer with the outcome. The run is a task of its own, so that a caller who hangs up does not
//! cut a handler off in the middle.

use std::sync::Arc;
use std::time::Duration;

use super::record;
use crate::engine::{Handler, Slot};
use crate::ledger::Rows;
use crate::model::{Attempt, Event, Outcome};

/// Runs events and stores what they leave.
#[derive(Clone)]
pub struct Delivery {
    rows: Arc<Rows>,
}

// === impl Delivery ===

impl Delivery {
    /// Rows go to `rows`.
    pub fn new(rows: Rows) -> Delivery {
        Delivery { rows: Arc::new(rows) }
    }

    /// The outcome of the one attempt, `limit` from now at the latest. The slot is held until the run has ended.
    pub async fn sync(&self, handler: Arc<Handler>, event: Event, slot: Slot, limit: Duration) -> Outcome {
        let rows = self.rows.clone();
        let run = tokio::spawn(async move {
            let _slot = slot;
            attempt(&handler, event, limit, rows).await
        });
        run.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an attempt panicked in the host");
            Outcome::HostFault("a host function panicked".into())
        })
    }
}

async fn attempt(handler: &Handler, event: Event, limit: Duration, rows: Arc<Rows>) -> Outcome {
    let mut attempt = handler.run(&event, 1, limit).await;
    let event = Arc::new(event);
    if matches!(attempt.outcome, Outcome::Done(_)) && !attempt.rows.is_empty() {
        store(&mut attempt, event.clone(), rows).await;
    }
    record::write(&event, 1, &attempt);
    attempt.outcome
}

/// A success that cannot be stored is none.
async fn store(attempt: &mut Attempt, event: Arc<Event>, rows: Arc<Rows>) {
    let staged = attempt.rows.clone();
    let stored = tokio::task::spawn_blocking(move || rows.append(&event, &staged)).await;
    let failed = match stored {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => format!("storing rows panicked: {error}"),
    };
    attempt.outcome = Outcome::HostFault(failed);
}
