//! Callers that wait for the reply to an event: the one that sent it, and those that sent it again meanwhile.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::{EventId, Outcome};

/// The callers that wait, by event.
#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    by_event: HashMap<EventId, Callers>,
    next: u64,
}

#[derive(Default)]
struct Callers {
    /// Each with its number.
    waiting: Vec<(u64, oneshot::Sender<Outcome>)>,
    /// The outcome is being stored and will be told: nobody may leave with another answer.
    claimed: bool,
}

/// One caller that waits; forgotten when dropped.
pub struct Waiter<'a> {
    waiters: &'a Waiters,
    event: EventId,
    number: u64,
    told: oneshot::Receiver<Outcome>,
}

/// What a caller that waited has come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Waited {
    /// The outcome of the attempt.
    Told(Outcome),
    /// Nothing in time; the attempt, if there is one, knows that this caller was told something else.
    Left,
    /// The outcome was about to be told and could not be stored in time. It may refuse the event: no 2xx may be given.
    Unknown,
}

// === impl Waiters ===

impl Waiters {
    /// Waits for the outcome of this event's next attempt, for as long as the guard lives.
    pub fn wait(&self, event: EventId) -> Waiter<'_> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.next += 1;
        let number = waiting.next;
        waiting.by_event.entry(event).or_default().waiting.push((number, tell));

        Waiter { waiters: self, event, number, told }
    }

    /// Whether a caller waits here that will be told the outcome which is stored next: from now on none leaves without it.
    pub fn claim(&self, event: EventId) -> bool {
        let mut waiting = self.waiting();
        let callers = waiting.by_event.get_mut(&event);
        callers.map(|callers| callers.claimed = true).is_some()
    }

    /// The outcome was not stored: the next attempt has another, and callers may leave again.
    pub fn release(&self, event: EventId) {
        if let Some(callers) = self.waiting().by_event.get_mut(&event) {
            callers.claimed = false;
        }
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
        waiting.by_event.entry(event).or_default().waiting.push((number, tell));
    }

    /// Nobody will be told: the attempt has no outcome that counts.
    pub fn forget(&self, event: EventId) {
        self.waiting().by_event.remove(&event);
    }

    /// Tells everybody who waits for this event.
    pub fn tell(&self, event: EventId, outcome: &Outcome) {
        let told = self.waiting().by_event.remove(&event);
        for (_, waiter) in told.into_iter().flat_map(|callers| callers.waiting) {
            waiter.send(outcome.clone()).ok();
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

// === impl Waiter ===

impl Waiter<'_> {
    /// Waits for the outcome for so long; longer, up to `claimed`, where the outcome is just being stored.
    pub async fn within(mut self, usual: Duration, claimed: Duration) -> Waited {
        if let Ok(told) = tokio::time::timeout(usual, &mut self.told).await {
            return told.map_or(Waited::Left, Waited::Told);
        }
        if !self.is_claimed() {
            return Waited::Left;
        }
        match tokio::time::timeout(claimed, &mut self.told).await {
            Ok(told) => told.map_or(Waited::Left, Waited::Told),
            Err(_) => Waited::Unknown,
        }
    }

    /// Leaves, unless the outcome has been claimed for whoever waits.
    fn is_claimed(&self) -> bool {
        let mut waiting = self.waiters.waiting();
        let Some(callers) = waiting.by_event.get_mut(&self.event) else { return true };
        if callers.claimed {
            return true;
        }
        callers.waiting.retain(|(number, _)| *number != self.number);
        if callers.waiting.is_empty() {
            waiting.by_event.remove(&self.event);
        }
        false
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.waiting();
        let Some(callers) = waiting.by_event.get_mut(&self.event) else { return };
        callers.waiting.retain(|(number, _)| *number != self.number);
        if callers.waiting.is_empty() {
            waiting.by_event.remove(&self.event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: EventId = EventId::from_bytes([1; 16]);

    #[tokio::test]
    async fn every_caller_is_told_once() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.wait(EVENT), waiters.wait(EVENT));
        drop(second);

        waiters.tell(EVENT, &Outcome::Timeout);
        assert!(!waiters.has(EVENT));
        assert_eq!(first.within(Duration::ZERO, Duration::ZERO).await, Waited::Told(Outcome::Timeout));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_leaves_a_claimed_outcome() {
        let (second, waiters) = (Duration::from_secs(1), Waiters::default());
        assert!(!waiters.claim(EVENT), "nobody waits");
        assert_eq!(waiters.wait(EVENT).within(second, second).await, Waited::Left);
        assert!(!waiters.claim(EVENT), "the caller has left");

        let caller = waiters.wait(EVENT);
        assert!(waiters.claim(EVENT));
        let late = async {
            tokio::time::sleep(second * 3 / 2).await;
            waiters.tell(EVENT, &Outcome::Timeout);
        };
        let (waited, ()) = tokio::join!(caller.within(second, second), late);
        assert_eq!(waited, Waited::Told(Outcome::Timeout));

        let caller = waiters.wait(EVENT);
        assert!(waiters.claim(EVENT));
        assert_eq!(caller.within(second, second).await, Waited::Unknown);

        let caller = waiters.wait(EVENT);
        assert!(waiters.claim(EVENT));
        waiters.release(EVENT);
        assert_eq!(caller.within(second, second).await, Waited::Left);
    }
}
