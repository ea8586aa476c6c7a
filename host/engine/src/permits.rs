//! Permits for attempts: each hook has its own number of them, within the number of the node. An
//! attempt owns its permit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::run_slots::{Flow, RunSlots};

/// The permits of one hook.
#[derive(Clone)]
pub struct Permits {
    places: Arc<Places>,
    waiting: Arc<AtomicUsize>,
    concurrency: usize,
    requests: Flow,
    attempts: Flow,
}

/// The right to run one attempt. It is released on drop.
#[derive(Debug)]
pub struct Permit(Arc<Places>);

/// The free places of the hook and of the node. A permit has one of both.
#[derive(Debug)]
struct Places {
    hook: Semaphore,
    node: Arc<Semaphore>,
}

/// No permit became free in time, or too many requests wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("busy: no free place in time")]
pub struct NoPermit;

// === impl Permits ===

impl Permits {
    pub(super) fn new(node: Arc<Semaphore>, slots: &RunSlots, concurrency: usize) -> Permits {
        Permits {
            places: Arc::new(Places {
                hook: Semaphore::new(concurrency),
                node,
            }),
            waiting: Arc::default(),
            concurrency,
            requests: slots.flow(),
            attempts: slots.flow(),
        }
    }

    /// How many attempts of the hook can start now.
    pub fn free(&self) -> usize {
        let Places { hook, node } = &*self.places;
        hook.available_permits().min(node.available_permits())
    }

    /// How many attempts of the hook run now.
    pub fn in_use(&self) -> usize {
        let free = self.places.hook.available_permits();
        self.concurrency.saturating_sub(free)
    }

    /// The most attempts of the hook that run at a time.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The tasks that read and answer the requests of the hook, and run its events in mode `sync`.
    pub fn request_flow(&self) -> &Flow {
        &self.requests
    }

    /// The tasks that run stored events of the hook. Requests do not wait for their turn.
    pub fn attempt_flow(&self) -> &Flow {
        &self.attempts
    }

    /// How many tasks of the hook wait for a run slot.
    pub fn waiting_tasks(&self) -> usize {
        self.requests.waiting() + self.attempts.waiting()
    }

    /// A permit, if one is free now.
    pub fn try_acquire(&self) -> Option<Permit> {
        let hook = self.places.hook.try_acquire().ok()?;
        let node = self.places.node.try_acquire().ok()?;
        Some(self.permit(hook, node))
    }

    /// A permit for a responder: only of the node, so that it does not wait for attempts of its
    /// hook.
    pub async fn acquire_quick(&self, wait: Duration) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(wait, self.places.node.clone().acquire_owned())
            .await
            .ok()?
            .ok()
    }

    /// A permit, at once or within `wait`.
    pub async fn acquire(&self, wait: Duration) -> Result<Permit, NoPermit> {
        if let Some(permit) = self.try_acquire() {
            return Ok(permit);
        }
        // Each request that waits holds a body in memory: as many wait as may run.
        let _entry = QueueEntry::take(&self.waiting, self.concurrency).ok_or(NoPermit)?;
        tokio::time::timeout(wait, self.acquire_both())
            .await
            .unwrap_or(Err(NoPermit))
    }

    async fn acquire_both(&self) -> Result<Permit, NoPermit> {
        let hook = self.places.hook.acquire().await.map_err(|_| NoPermit)?;
        let node = self.places.node.acquire().await.map_err(|_| NoPermit)?;
        Ok(self.permit(hook, node))
    }

    /// One reference count for both semaphores: the processors share the cache line of each count.
    fn permit(&self, hook: SemaphorePermit<'_>, node: SemaphorePermit<'_>) -> Permit {
        hook.forget();
        node.forget();
        Permit(self.places.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.hook.add_permits(1);
        self.0.node.add_permits(1);
    }
}

/// One of the requests that wait, whose number is limited.
struct QueueEntry(Arc<AtomicUsize>);

impl QueueEntry {
    fn take(waiting: &Arc<AtomicUsize>, max: usize) -> Option<QueueEntry> {
        let place = QueueEntry(waiting.clone());
        (waiting.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for QueueEntry {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn full_hooks_wait_then_refuse() {
        let permits = Permits::new(Arc::new(Semaphore::new(10)), &RunSlots::new(1), 1);
        let first = permits.acquire(Duration::ZERO).await.unwrap();
        assert_eq!(
            permits.acquire(Duration::from_millis(5)).await.unwrap_err(),
            NoPermit
        );
        let waiter = tokio::spawn({
            let permits = permits.clone();
            async move { permits.acquire(Duration::from_secs(5)).await.is_ok() }
        });
        while permits.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            permits.acquire(Duration::from_secs(5)).await.unwrap_err(),
            NoPermit,
            "one waits, the next does not"
        );
        drop(first);
        assert!(waiter.await.unwrap());
    }

    #[tokio::test]
    async fn node_bounds_all_hooks() {
        let (node, slots) = (Arc::new(Semaphore::new(1)), RunSlots::new(1));
        let (one, two) = (
            Permits::new(node.clone(), &slots, 5),
            Permits::new(node, &slots, 5),
        );
        let _held = one.acquire(Duration::ZERO).await.unwrap();
        assert!(two.acquire(Duration::from_millis(1)).await.is_err());
    }
}
