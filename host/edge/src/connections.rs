//! The open connections of a listener, of which there are at most `limits.connections`. If all
//! permits are in use, the connection that has been idle for longest is closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_model::lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::ConnectionActivity;

/// How often a full listener looks for a connection that has become idle.
const RECHECK_INTERVAL: Duration = Duration::from_millis(20);
/// How often the log says that the listener is full.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The open connections of a listener.
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    open: OpenConnections,
    next_id: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

type OpenConnections = Arc<Mutex<HashMap<u64, Arc<ConnectionActivity>>>>;

/// The permit of one connection, until it is dropped.
pub(crate) struct ConnectionSlot {
    pub(crate) activity: Arc<ConnectionActivity>,
    id: u64,
    open: OpenConnections,
    _permit: OwnedSemaphorePermit,
}

// === impl Connections ===

impl Connections {
    pub(crate) fn new(max: usize) -> Connections {
        Connections {
            permits: Arc::new(Semaphore::new(max)),
            open: OpenConnections::default(),
            next_id: AtomicU64::new(0),
            logged: Mutex::new(None),
        }
    }

    /// Waits for a permit. If none is free, closes the connection that has been idle for longest.
    pub(crate) async fn acquire(&self) -> ConnectionSlot {
        loop {
            if let Ok(permit) = self.permits.clone().try_acquire_owned() {
                return self.open_slot(permit);
            }

            self.close_longest_idle();
            let released = self.permits.clone().acquire_owned();
            if let Ok(permit) = tokio::time::timeout(RECHECK_INTERVAL, released).await {
                return self.open_slot(permit.expect("the semaphore is never closed"));
            }
        }
    }

    fn open_slot(&self, permit: OwnedSemaphorePermit) -> ConnectionSlot {
        let activity = ConnectionActivity::new();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).insert(id, activity.clone());
        ConnectionSlot {
            activity,
            id,
            open: self.open.clone(),
            _permit: permit,
        }
    }

    fn close_longest_idle(&self) {
        let longest = self.longest_idle();
        if let Some(activity) = &longest {
            activity.close();
        }

        let mut logged = lock(&self.logged);
        if logged.is_some_and(|logged| logged.elapsed() < LOG_INTERVAL) {
            return;
        }

        *logged = Some(Instant::now());
        if longest.is_some() {
            tracing::warn!(
                "limits.connections is reached: the connection that has been idle for longest is \
                 closed"
            );
        } else {
            tracing::warn!(
                "limits.connections is reached and no connection is idle: new connections wait"
            );
        }
    }

    fn longest_idle(&self) -> Option<Arc<ConnectionActivity>> {
        let open = lock(&self.open);
        let idle = open
            .values()
            .filter_map(|activity| Some((activity.idle_since()?, activity)));
        let (_, longest) = idle.min_by_key(|(since, _)| *since)?;
        Some(longest.clone())
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.id);
    }
}
