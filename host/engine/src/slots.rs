//! Places for attempts: each hook has its own number of them, within the node's. A slot travels with its attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one hook.
#[derive(Debug, Clone)]
pub struct Slots {
    hook: Arc<Semaphore>,
    node: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

/// The right to run one attempt; dropping it frees the place.
#[derive(Debug)]
pub struct Slot {
    _hook: OwnedSemaphorePermit,
    _node: OwnedSemaphorePermit,
}

/// No place became free in time, or too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("busy: no free place in time")]
pub struct NoSlot;

// === impl Slots ===

impl Slots {
    pub(super) fn new(node: Arc<Semaphore>, concurrency: usize) -> Slots {
        Slots {
            hook: Arc::new(Semaphore::new(concurrency)),
            node,
            waiting: Arc::default(),
            // Whoever waits holds a body in memory: no more of them than can run.
            waiting_max: concurrency,
        }
    }

    /// How many are free now.
    pub fn free(&self) -> usize {
        self.hook
            .available_permits()
            .min(self.node.available_permits())
    }

    /// A place, if there is one now.
    pub fn try_acquire(&self) -> Option<Slot> {
        let hook = self.hook.clone().try_acquire_owned().ok()?;
        let node = self.node.clone().try_acquire_owned().ok()?;
        Some(Slot {
            _hook: hook,
            _node: node,
        })
    }

    /// A place for a quick answer: of the node's only, so that it does not stand behind the work of its own hook.
    pub async fn acquire_quick(&self, wait: Duration) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(wait, self.node.clone().acquire_owned())
            .await
            .ok()?
            .ok()
    }

    /// A place, at once or within `wait`.
    pub async fn acquire(&self, wait: Duration) -> Result<Slot, NoSlot> {
        if let (Ok(hook), Ok(node)) = (
            self.hook.clone().try_acquire_owned(),
            self.node.clone().try_acquire_owned(),
        ) {
            return Ok(Slot {
                _hook: hook,
                _node: node,
            });
        }
        let _place_in_line = PlaceInLine::take(&self.waiting, self.waiting_max).ok_or(NoSlot)?;
        let both = async {
            let hook = self
                .hook
                .clone()
                .acquire_owned()
                .await
                .map_err(|_| NoSlot)?;
            let node = self
                .node
                .clone()
                .acquire_owned()
                .await
                .map_err(|_| NoSlot)?;
            Ok(Slot {
                _hook: hook,
                _node: node,
            })
        };
        tokio::time::timeout(wait, both)
            .await
            .unwrap_or(Err(NoSlot))
    }
}

/// One of the bounded number of those who wait.
struct PlaceInLine(Arc<AtomicUsize>);

impl PlaceInLine {
    fn take(waiting: &Arc<AtomicUsize>, max: usize) -> Option<PlaceInLine> {
        let place = PlaceInLine(waiting.clone());
        (waiting.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for PlaceInLine {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_hook_makes_wait_and_then_says_no() {
        let slots = Slots::new(Arc::new(Semaphore::new(10)), 1);
        let first = slots.acquire(Duration::ZERO).await.unwrap();
        assert_eq!(
            slots.acquire(Duration::from_millis(5)).await.unwrap_err(),
            NoSlot
        );
        let waiter = tokio::spawn({
            let slots = slots.clone();
            async move { slots.acquire(Duration::from_secs(5)).await.is_ok() }
        });
        while slots.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            slots.acquire(Duration::from_secs(5)).await.unwrap_err(),
            NoSlot,
            "one waits, the next does not"
        );
        drop(first);
        assert!(waiter.await.unwrap());
    }

    #[tokio::test]
    async fn the_node_bounds_all_hooks() {
        let node = Arc::new(Semaphore::new(1));
        let (one, two) = (Slots::new(node.clone(), 5), Slots::new(node, 5));
        let _held = one.acquire(Duration::ZERO).await.unwrap();
        assert!(two.acquire(Duration::from_millis(1)).await.is_err());
    }
}
