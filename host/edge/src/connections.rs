//! The open connections of a listener, which have a maximum. If all permits are in use, the
//! connection that has been idle for longest is closed; if none is idle, the oldest of those whose
//! clients have begun no request head, or have stopped in the middle of one.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_model::lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::ConnectionActivity;

/// How often a full listener looks for a connection that it can close.
const RECHECK_INTERVAL: Duration = Duration::from_millis(20);
/// A connection is closed for another one if its client has sent nothing more of a request head for
/// this long. Before, its bytes may have arrived and wait to be read.
const HEAD_WAIT_MIN: Duration = Duration::from_millis(250);
/// How often the log says that the listener is full, or that it cannot accept connections.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The open connections of a listener.
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    open: OpenConnections,
    next_id: AtomicU64,
    /// What sets the maximum, for the log.
    limited_by: &'static str,
    on_limited: OnLimited,
    full: LogGate,
    failing: LogGate,
}

/// What happened to a new connection at a limit, or to another one for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// A connection that waited for its client was closed for the new one.
    Closed,
    /// Every connection had a request: the new one waited.
    Waited,
    /// The system did not accept it, for example without free file descriptors.
    Failed,
}

/// Called for each new connection at a limit.
pub(crate) type OnLimited = Arc<dyn Fn(Limited) + Send + Sync>;

/// Lets one line of the log through in each `LOG_INTERVAL`.
#[derive(Default)]
struct LogGate(Mutex<Option<Instant>>);

type OpenConnections = Arc<Mutex<HashMap<u64, Arc<ConnectionActivity>>>>;

/// The permit of one connection, until it is dropped.
pub(crate) struct ConnectionSlot {
    pub(crate) activity: Arc<ConnectionActivity>,
    id: u64,
    open: OpenConnections,
    _permit: OwnedSemaphorePermit,
}

// === impl Limited ===

impl Limited {
    /// The value of the label of the counter.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Limited::Closed => "closed",
            Limited::Waited => "waited",
            Limited::Failed => "failed",
        }
    }
}

// === impl LogGate ===

impl LogGate {
    fn opens(&self) -> bool {
        let mut logged = lock(&self.0);
        let is_open = logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL);
        if is_open {
            *logged = Some(Instant::now());
        }
        is_open
    }
}

// === impl Connections ===

impl Connections {
    pub(crate) fn new(max: usize, limited_by: &'static str, on_limited: OnLimited) -> Connections {
        Connections {
            permits: Arc::new(Semaphore::new(max)),
            open: OpenConnections::default(),
            next_id: AtomicU64::new(0),
            limited_by,
            on_limited,
            full: LogGate::default(),
            failing: LogGate::default(),
        }
    }

    /// Counts a connection that the system did not accept.
    pub(crate) fn accept_failed(&self, error: &io::Error) {
        (self.on_limited)(Limited::Failed);
        if self.failing.opens() {
            tracing::warn!(
                %error,
                "a connection was not accepted: it waits, and this line is repeated once a minute"
            );
        }
    }

    /// Waits for a permit. If none is free, closes a connection that waits for its client.
    pub(crate) async fn acquire(&self) -> ConnectionSlot {
        let mut has_waited = false;
        loop {
            if let Ok(permit) = self.permits.clone().try_acquire_owned() {
                return self.open_slot(permit);
            }

            if self.close_one() {
                (self.on_limited)(Limited::Closed);
            } else if !has_waited {
                has_waited = true;
                (self.on_limited)(Limited::Waited);
            }
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

    /// Closes a connection that waits for its client. Returns whether there was one.
    fn close_one(&self) -> bool {
        let closed = self.longest_idle().or_else(|| self.oldest_without_head());
        if let Some(activity) = &closed {
            activity.close();
        }

        if !self.full.opens() {
            return closed.is_some();
        }

        let limited_by = self.limited_by;
        if closed.is_some() {
            tracing::warn!(
                "{limited_by} is reached: the connection that has been idle for longest, or that \
                 has sent no request head, is closed"
            );
        } else {
            tracing::warn!(
                "{limited_by} is reached and every connection has a request: new connections wait"
            );
        }
        closed.is_some()
    }

    fn longest_idle(&self) -> Option<Arc<ConnectionActivity>> {
        let open = lock(&self.open);
        let idle = open
            .values()
            .filter_map(|activity| Some((activity.idle_since()?, activity)));
        let (_, longest) = idle.min_by_key(|(since, _)| *since)?;
        Some(longest.clone())
    }

    fn oldest_without_head(&self) -> Option<Arc<ConnectionActivity>> {
        let open = lock(&self.open);
        let waiting = open.iter().filter(|(_, activity)| {
            let since = activity.awaits_head_since();
            since.is_some_and(|since| since.elapsed() >= HEAD_WAIT_MIN) && !activity.is_closing()
        });
        let (_, oldest) = waiting.min_by_key(|(id, _)| **id)?;
        Some(oldest.clone())
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn oldest_without_head_is_closed() {
        let connections = Connections::new(3, "limits.connections", Arc::new(|_| {}));
        let mut slots = Vec::new();
        for _ in 0..3 {
            slots.push(connections.acquire().await);
        }
        // What has just arrived may be waiting to be read.
        connections.close_one();
        assert!(slots.iter().all(|slot| !slot.activity.is_closing()));

        let long_ago = Instant::now() - HEAD_WAIT_MIN;
        for slot in &slots {
            slot.activity.read_head(long_ago, false);
        }
        let running = slots[0].activity.start_request(http::Version::HTTP_11);
        let is_closing = |slots: &[ConnectionSlot]| -> Vec<bool> {
            slots
                .iter()
                .map(|slot| slot.activity.is_closing())
                .collect()
        };

        connections.close_one();
        assert_eq!(is_closing(&slots), [false, true, false]);
        // One that has become idle is closed first.
        drop(running);
        slots[0].activity.start_idle(Instant::now());
        connections.close_one();
        assert_eq!(is_closing(&slots), [true, true, false]);
        connections.close_one();
        assert_eq!(is_closing(&slots), [true, true, true]);
        connections.close_one();
    }
}
