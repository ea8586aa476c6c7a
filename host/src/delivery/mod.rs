//! From an event to the record of its attempts: the three modes, the worker loop, and what follows from each outcome.

mod circuit;
mod emitted;
mod ending;
mod queued;
mod rate;
mod record;
mod settle;
mod standing;
mod sync;
mod workers;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use crate::ledger::{Ledger, LedgerError};
use crate::model::{Clock, EventId, Outcome};
use crate::queue::Queue;

pub use crate::engine::Target;
pub use crate::ledger::DedupKey;
pub use queued::{Answered, Incoming};

/// Who knows the hooks.
pub trait Targets: Send + Sync {
    /// The hook of that name, if it can run now.
    fn find(&self, hook: &str) -> Option<Target>;
}

/// Runs events and keeps what they leave.
pub struct Delivery {
    queue: Queue,
    targets: Arc<dyn Targets>,
    clock: Clock,
    standings: Mutex<HashMap<Arc<str>, standing::Standing>>,
    /// Callers of mode `auto` whose events somebody else runs.
    waiters: Mutex<HashMap<EventId, tokio::sync::oneshot::Sender<Outcome>>>,
    is_stopping: AtomicBool,
    /// Second and number of successes in mode `sync` that were kept in it.
    kept: Mutex<(u64, u32)>,
    began: std::time::Instant,
    /// Records for which there was no room.
    dropped: AtomicU64,
}

// === impl Delivery ===

impl Delivery {
    /// Over this ledger. `dispatch_for_ever` and `beat_for_ever` do the work.
    pub async fn new(
        ledger: Arc<Ledger>,
        targets: Arc<dyn Targets>,
        clock: Clock,
    ) -> Result<Arc<Delivery>, LedgerError> {
        let delivery = Arc::new(Delivery {
            queue: Queue::start(ledger).await?,
            targets,
            clock,
            standings: Mutex::default(),
            waiters: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            kept: Mutex::default(),
            began: std::time::Instant::now(),
            dropped: AtomicU64::new(0),
        });
        delivery.remember_pauses().await?;
        Ok(delivery)
    }

    /// Whether an event could be kept now.
    pub fn can_accept(&self) -> bool {
        self.queue.ledger().can_accept()
    }

    /// The queue below.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }
}
