//! Callers that wait for the reply to an event: the one that sent it, and those that sent it again meanwhile.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::oneshot;

use crate::model::{EventId, Outcome};

/// The callers that wait, by event.
#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    by_event: HashMap<EventId, Vec<(u64, oneshot::Sender<Outcome>)>>,
    next: u64,
}

/// One caller that waits; forgotten when dropped.
pub struct Waiter<'a> {
    waiters: &'a Waiters,
    event: EventId,
    number: u64,
}

// === impl Waiters ===

impl Waiters {
    /// Waits for the outcome of this event's next attempt, for as long as the guard lives.
    pub fn wait(&self, event: EventId) -> (Waiter<'_>, oneshot::Receiver<Outcome>) {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.next += 1;
        let number = waiting.next;
        waiting.by_event.entry(event).or_default().push((number, tell));

        (Waiter { waiters: self, event, number }, told)
    }

    /// Whether anybody waits for this event.
    pub fn has(&self, event: EventId) -> bool {
        self.waiting().by_event.contains_key(&event)
    }

    /// A caller of another node: nothing here forgets it but the telling.
    pub fn adopt(&self, event: EventId, tell: oneshot::Sender<Outcome>) {
        if tell.is_closed() {
            return;
        }
        let mut waiting = self.waiting();
        waiting.next += 1;
        let number = waiting.next;
        waiting.by_event.entry(event).or_default().push((number, tell));
    }

    /// Nobody will be told: the attempt has no outcome that counts.
    pub fn forget(&self, event: EventId) {
        self.waiting().by_event.remove(&event);
    }

    /// Tells everybody who waits for this event.
    pub fn tell(&self, event: EventId, outcome: &Outcome) {
        let told = self.waiting().by_event.remove(&event);
        for (_, waiter) in told.into_iter().flatten() {
            waiter.send(outcome.clone()).ok();
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.waiting();
        let Some(callers) = waiting.by_event.get_mut(&self.event) else { return };
        callers.retain(|(number, _)| *number != self.number);
        if callers.is_empty() {
            waiting.by_event.remove(&self.event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_is_told_once() {
        let (waiters, event) = (Waiters::default(), EventId::from_bytes([1; 16]));
        let (first, mut told_first) = waiters.wait(event);
        let (second, mut told_second) = waiters.wait(event);
        drop(second);
        assert!(told_second.try_recv().is_err());

        waiters.tell(event, &Outcome::Timeout);
        assert_eq!(told_first.try_recv(), Ok(Outcome::Timeout));
        assert!(!waiters.has(event));
        drop(first);
    }
}
