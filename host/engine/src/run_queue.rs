//! The queue of the background pool: each handler has a queue of its own, and the handlers take
//! turns.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

/// Identifies the queue of one handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct QueueId(u64);

/// One poll of one attempt.
pub(crate) trait TimeSlice: Send {
    /// Polls the attempt. Returns the slice again if the attempt has more to compute.
    fn run(self: Box<Self>) -> Option<Box<dyn TimeSlice>>;
    /// Whether the attempt has passed its deadline or its result is no longer wanted.
    fn is_late(&self) -> bool;
    /// The queue of its handler.
    fn queue(&self) -> QueueId;
}

/// The slices that wait for a thread.
#[derive(Default)]
pub(crate) struct RunQueue {
    queues: Mutex<Queues>,
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    /// One queue for each handler with waiting slices. None of them is empty.
    by_handler: HashMap<QueueId, VecDeque<Box<dyn TimeSlice>>>,
    /// The handlers in the order of their turns.
    order: VecDeque<QueueId>,
    is_closed: bool,
}

// === impl QueueId ===

impl QueueId {
    pub(crate) fn next() -> QueueId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        QueueId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

// === impl RunQueue ===

impl RunQueue {
    pub(crate) fn push(&self, slice: Box<dyn TimeSlice>) {
        let id = slice.queue();
        let mut queues = self.lock();
        let queue = queues.by_handler.entry(id).or_default();

        queue.push_back(slice);
        if queue.len() == 1 {
            queues.order.push_back(id);
        }
        drop(queues);

        self.changed.notify_one();
    }

    /// Runs slices until the queue is closed and empty.
    pub(crate) fn work(&self) {
        while let Some(slice) = self.next() {
            // A panic drops the attempt. The task that waits for the result panics in turn.
            if let Ok(Some(again)) = catch_unwind(AssertUnwindSafe(|| slice.run())) {
                self.push(again);
            }
        }
    }

    /// Lets the threads end after the slices that are waiting now.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// How many slices of one handler wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self, id: QueueId) -> usize {
        self.lock().by_handler.get(&id).map_or(0, VecDeque::len)
    }

    /// How many handlers have waiting slices.
    #[cfg(test)]
    pub(crate) fn waiting_handlers(&self) -> usize {
        self.lock().order.len()
    }

    /// Waits for the next slice. `None` after the queue was closed.
    fn next(&self) -> Option<Box<dyn TimeSlice>> {
        let mut queues = self
            .changed
            .wait_while(self.lock(), |queues| queues.must_wait())
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        queues.pop()
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        landfall_model::lock(&self.queues)
    }
}

// === impl Queues ===

impl Queues {
    fn must_wait(&self) -> bool {
        self.order.is_empty() && !self.is_closed
    }

    /// Takes a slice of the handler whose turn it is: a late one first, since it only has to report
    /// its end.
    fn pop(&mut self) -> Option<Box<dyn TimeSlice>> {
        let id = self.order.pop_front()?;
        let queue = self.by_handler.get_mut(&id)?;
        let late = queue.iter().position(|slice| slice.is_late());
        let slice = queue.remove(late.unwrap_or(0));

        if queue.is_empty() {
            self.by_handler.remove(&id);
        } else {
            self.order.push_back(id);
        }
        slice
    }
}
