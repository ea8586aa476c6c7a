//! What a node has done to agree with the other nodes on the retention.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use landfall_model::lock;

/// How often a node logs why nothing is removed by age.
const LOG_EVERY: Duration = Duration::from_secs(3_600);

/// What this node has done so far.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// It has announced its retention, so that other nodes keep what it keeps.
    pub(super) has_announced: AtomicBool,
    /// Its last try has failed.
    is_stopped: AtomicBool,
    /// When it has last logged why nothing is removed by age.
    logged: Mutex<Option<Instant>>,
}

// === impl Agreement ===

impl Agreement {
    /// Whether nothing is removed by age now.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// The nodes agree.
    pub(super) fn go_on(&self) {
        self.is_stopped.store(false, Ordering::Relaxed);
    }

    /// The nodes cannot agree.
    pub(super) fn stop(&self, why: &str) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let mut logged = lock(&self.logged);
        if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::warn!(
                why,
                "nothing is removed by age until all nodes agree; this line is repeated at most once an hour"
            );
        }
    }
}
