//! Reports how long the commits take that callers wait for.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Is called with the time of each durable commit, in the thread that commits.
pub type CommitObserver = Box<dyn Fn(Duration) + Send + Sync>;

/// Where the commits of one ledger are reported.
#[derive(Clone, Default)]
pub(crate) struct CommitTimes(Arc<OnceLock<CommitObserver>>);

// === impl CommitTimes ===

impl CommitTimes {
    /// Only the first call has an effect.
    pub(crate) fn observe(&self, observer: CommitObserver) {
        self.0.set(observer).ok();
    }

    pub(crate) fn report(&self, started: Instant) {
        if let Some(observer) = self.0.get() {
            observer(started.elapsed());
        }
    }
}
