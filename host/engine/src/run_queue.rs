//! The queue of the background pool: each handler has a queue of its own, and the handlers take
//! turns.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

/// Identifies the queue of one handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct QueueId(u64);

/// When slices get a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// In turn with other handlers.
    Normal,
    /// When no normal slice waits.
    Late,
}

/// One poll of one attempt.
pub(crate) trait TimeSlice: Send {
    /// Polls the attempt. Returns the slice again if the attempt has more to compute.
    fn run(self: Box<Self>) -> Option<Box<dyn TimeSlice>>;
    /// Whether the attempt has passed its deadline or its result is no longer wanted.
    fn is_late(&self) -> bool;
    /// The queue of its handler.
    fn queue(&self) -> QueueId;
    /// The same for all slices of a queue.
    fn rank(&self) -> Rank {
        Rank::Normal
    }
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
    /// The same of rank `Late`.
    late_order: VecDeque<QueueId>,
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
        let (id, rank) = (slice.queue(), slice.rank());
        let mut queues = self.lock();
        let queue = queues.by_handler.entry(id).or_default();

        queue.push_back(slice);
        if queue.len() == 1 {
            queues.order_of(rank).push_back(id);
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
        self.order.is_empty() && self.late_order.is_empty() && !self.is_closed
    }

    fn order_of(&mut self, rank: Rank) -> &mut VecDeque<QueueId> {
        match rank {
            Rank::Normal => &mut self.order,
            Rank::Late => &mut self.late_order,
        }
    }

    /// Takes a slice of the handler whose turn it is: a late one first, since it only has to report
    /// its end.
    fn pop(&mut self) -> Option<Box<dyn TimeSlice>> {
        let (id, rank) = self.next_turn()?;
        let queue = self.by_handler.get_mut(&id)?;
        let late = queue.iter().position(|slice| slice.is_late());
        let slice = queue.remove(late.unwrap_or(0));

        if queue.is_empty() {
            self.by_handler.remove(&id);
        } else {
            self.order_of(rank).push_back(id);
        }
        slice
    }

    /// Those of rank `Late` come last, but one that has passed its deadline need not wait to say
    /// so.
    fn next_turn(&mut self) -> Option<(QueueId, Rank)> {
        let overdue = self.late_order.iter().position(|id| {
            let queue = self.by_handler.get(id);
            queue.is_some_and(|queue| queue.iter().any(|slice| slice.is_late()))
        });
        if let Some(id) = overdue.and_then(|place| self.late_order.remove(place)) {
            return Some((id, Rank::Late));
        }
        if let Some(id) = self.order.pop_front() {
            return Some((id, Rank::Normal));
        }
        self.late_order.pop_front().map(|id| (id, Rank::Late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slice {
        queue: QueueId,
        rank: Rank,
        is_late: bool,
    }

    impl TimeSlice for Slice {
        fn run(self: Box<Self>) -> Option<Box<dyn TimeSlice>> {
            None
        }

        fn is_late(&self) -> bool {
            self.is_late
        }

        fn queue(&self) -> QueueId {
            self.queue
        }

        fn rank(&self) -> Rank {
            self.rank
        }
    }

    #[test]
    fn late_ranks_come_last() {
        let queue = RunQueue::default();
        let ids: Vec<QueueId> = (0..4).map(|_| QueueId::next()).collect();
        for (place, rank, is_late) in [
            (0, Rank::Late, false),
            (1, Rank::Normal, false),
            (2, Rank::Late, true),
            (0, Rank::Late, false),
            (3, Rank::Normal, false),
            (1, Rank::Normal, false),
        ] {
            queue.push(Box::new(Slice {
                queue: ids[place],
                rank,
                is_late,
            }));
        }
        queue.close();
        let order = std::iter::from_fn(|| queue.next()).map(|slice| slice.queue());
        let order: Vec<QueueId> = order.collect();
        assert_eq!(order, [2, 1, 3, 1, 0, 0].map(|place: usize| ids[place]));
    }
}
