//! From an event to the record of its attempts: the three modes, the worker loop, and what follows from each outcome.
#![deny(unsafe_code)]

mod answers;
mod arrivals;
mod circuit;
mod emitted;
mod finish;
mod messages;
mod queued;
mod rate;
mod record;
mod standing;
mod sync;
mod waiters;
mod workers;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use landfall_broker::{Broker, Queue};
use landfall_ledger::Ledger;
use landfall_model::{Clock, RefusalLog};

pub use landfall_engine::Target;
pub use landfall_ledger::{DedupKey, LedgerError};
pub use queued::{Answered, Incoming};
pub use standing::RepeatCounts;

/// Who knows the hooks.
pub trait Targets: Send + Sync {
    /// The hook of that name, if it can run now.
    fn find(&self, hook: &str) -> Option<Target>;
    /// Those that there are.
    fn names(&self) -> Vec<Arc<str>>;
}

/// Runs events and keeps what they leave.
pub struct Delivery {
    queue: Queue,
    targets: Arc<dyn Targets>,
    clock: Clock,
    standings: Mutex<HashMap<Arc<str>, standing::Standing>>,
    /// Callers of mode `auto` that wait for a handler's reply.
    waiters: waiters::Waiters,
    is_stopping: AtomicBool,
    /// Brought by a broker, and without a place.
    arriving: AtomicUsize,
    /// Second and number of successes in mode `sync` that were kept in it.
    kept: Mutex<(u64, u32)>,
    began: std::time::Instant,
    /// Records for which there was no room.
    dropped: AtomicU64,
    messages: messages::MessageCounts,
    /// Duplicates are recorded here, as the edge records what it refuses.
    refusals: Arc<RefusalLog>,
}

// === impl Delivery ===

impl Delivery {
    /// Over this ledger, and this broker if there is one. `dispatch_for_ever` and its like do the work.
    pub async fn new(
        ledger: Arc<dyn Ledger>,
        broker: Option<Broker>,
        targets: Arc<dyn Targets>,
        clock: Clock,
    ) -> Result<Arc<Delivery>, LedgerError> {
        let delivery = Arc::new(Delivery {
            queue: Queue::start(ledger, broker).await?,
            targets,
            clock,
            standings: Mutex::default(),
            waiters: waiters::Waiters::default(),
            is_stopping: AtomicBool::new(false),
            arriving: AtomicUsize::new(0),
            kept: Mutex::default(),
            began: std::time::Instant::now(),
            dropped: AtomicU64::new(0),
            messages: messages::MessageCounts::default(),
            refusals: Arc::default(),
        });
        delivery.remember_pauses().await?;
        Ok(delivery)
    }

    /// Whether an event could be kept now.
    pub fn can_accept(&self) -> bool {
        self.queue.can_accept()
    }

    /// The requests that were refused, and the duplicates that were not run.
    pub fn refusals(&self) -> &Arc<RefusalLog> {
        &self.refusals
    }

    /// Replies that are remembered for callers that come late: how many, and the bytes of their bodies.
    pub fn remembered_replies(&self) -> (usize, usize) {
        self.waiters.remembered()
    }

    /// The queue below.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }
}
