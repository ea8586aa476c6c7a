//! The callers that wait for the reply to an event: the one that sent it, and those that repeated it meanwhile.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use landfall_model::{EventId, Outcome, Reply, lock};

/// The callers that wait, by event.
#[derive(Default)]
pub(crate) struct Replies {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    by_event: HashMap<EventId, Callers>,
    /// The latest replies: a caller may begin to wait just after its event has ended.
    told: VecDeque<(EventId, Reply)>,
    next: u64,
}

/// How many replies are remembered, and the largest body in bytes: together at most 16 MiB.
const TOLD_MAX: usize = 256;
const TOLD_BYTES_MAX: usize = 64 << 10;

#[derive(Default)]
struct Callers {
    waiting: Vec<Caller>,
    /// The outcome is being stored and will be sent: no caller may get another answer.
    claimed: bool,
    /// A caller has left, perhaps with a 2xx.
    has_left: bool,
}

struct Caller {
    number: u64,
    /// It sent the event, and not a duplicate of it.
    is_first: bool,
    tell: oneshot::Sender<Outcome>,
}

/// One caller that waits; forgotten when dropped.
pub(crate) struct Waiter<'a> {
    replies: &'a Replies,
    event: EventId,
    number: u64,
    told: oneshot::Receiver<Outcome>,
}

/// How waiting ended for a caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The outcome of the attempt.
    Told(Outcome),
    /// Nothing in time; the attempt, if there is one, knows that this caller was told something else.
    Left,
    /// The outcome was about to be told and could not be stored in time. It may refuse the event: no 2xx may be given.
    Unknown,
}

// === impl Replies ===

impl Replies {
    /// The caller that sends the event waits for its outcome, for as long as the guard lives.
    pub fn wait(&self, event: EventId) -> Waiter<'_> {
        self.add(event, true)
    }

    /// The caller of a duplicate waits for the outcome of the first event's next attempt. Also the reply, if the event has just ended.
    pub fn join(&self, event: EventId) -> (Waiter<'_>, Option<Reply>) {
        let waiter = self.add(event, false);
        let told = self
            .waiting()
            .told
            .iter()
            .rev()
            .find(|(told, _)| *told == event)
            .map(|(_, reply)| reply.clone());

        (waiter, told)
    }

    fn add(&self, event: EventId, is_first: bool) -> Waiter<'_> {
        let (tell, told) = oneshot::channel();
        let number = self.waiting().add(event, is_first, tell);

        Waiter {
            replies: self,
            event,
            number,
            told,
        }
    }

    /// Whether every caller that this event has had still waits here, and will be told the outcome which is stored next: from now on
    /// none leaves without it.
    pub fn claim(&self, event: EventId) -> bool {
        let mut waiting = self.waiting();
        let Some(callers) = waiting.by_event.get_mut(&event) else {
            return false;
        };
        callers.claimed = !callers.has_left && callers.waiting.iter().any(|caller| caller.is_first);
        callers.claimed
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
        self.waiting().add(event, false, tell);
    }

    /// No caller gets a reply: the attempt has no outcome that counts.
    pub fn forget(&self, event: EventId) {
        self.waiting().by_event.remove(&event);
    }

    /// Tells every caller that waits for this event. Whether one was still there to hear it.
    pub fn tell(&self, event: EventId, outcome: &Outcome) -> bool {
        let callers = {
            let mut waiting = self.waiting();
            if let Outcome::Done(reply) = outcome {
                waiting.remember(event, reply);
            }
            waiting.by_event.remove(&event)
        };
        let callers = callers.into_iter().flat_map(|callers| callers.waiting);
        callers.fold(false, |is_heard, caller| {
            caller.tell.send(outcome.clone()).is_ok() | is_heard
        })
    }

    /// How many replies are remembered, and the bytes of their bodies.
    pub fn remembered(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (
            waiting.told.len(),
            waiting.told.iter().map(|(_, reply)| reply.body.len()).sum(),
        )
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

// === impl Waiting ===

impl Waiting {
    /// The number of the new caller.
    fn add(&mut self, event: EventId, is_first: bool, tell: oneshot::Sender<Outcome>) -> u64 {
        self.next += 1;
        let number = self.next;
        self.by_event
            .entry(event)
            .or_default()
            .waiting
            .push(Caller {
                number,
                is_first,
                tell,
            });
        number
    }

    fn remove(&mut self, event: EventId, number: u64) {
        let Some(callers) = self.by_event.get_mut(&event) else {
            return;
        };
        let before = callers.waiting.len();
        callers.waiting.retain(|caller| caller.number != number);
        callers.has_left |= callers.waiting.len() < before;
        if callers.waiting.is_empty() {
            self.by_event.remove(&event);
        }
    }

    fn remember(&mut self, event: EventId, reply: &Reply) {
        if reply.body.len() <= TOLD_BYTES_MAX {
            self.told.push_back((event, reply.clone()));
            if self.told.len() > TOLD_MAX {
                self.told.pop_front();
            }
        }
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

    /// Stops waiting, unless the outcome has been claimed for the waiting callers.
    fn is_claimed(&self) -> bool {
        let mut waiting = self.replies.waiting();
        let Some(callers) = waiting.by_event.get_mut(&self.event) else {
            return true;
        };
        if callers.claimed {
            return true;
        }
        waiting.remove(self.event, self.number);
        false
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.replies.waiting().remove(self.event, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: EventId = EventId::from_bytes([1; 16]);

    #[tokio::test]
    async fn every_caller_is_told_once() {
        let replies = Replies::default();
        let (first, second) = (replies.wait(EVENT), replies.wait(EVENT));
        drop(second);

        assert!(replies.tell(EVENT, &Outcome::Timeout));
        assert!(!replies.has(EVENT));
        assert_eq!(
            first.within(Duration::ZERO, Duration::ZERO).await,
            Waited::Told(Outcome::Timeout)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_leaves_a_claimed_outcome() {
        let (second, replies) = (Duration::from_secs(1), Replies::default());
        assert!(!replies.claim(EVENT), "nobody waits");
        assert_eq!(
            replies.wait(EVENT).within(second, second).await,
            Waited::Left
        );
        assert!(!replies.claim(EVENT), "the caller has left");

        let caller = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        let late = async {
            tokio::time::sleep(second * 3 / 2).await;
            replies.tell(EVENT, &Outcome::Timeout);
        };
        let (waited, ()) = tokio::join!(caller.within(second, second), late);
        assert_eq!(waited, Waited::Told(Outcome::Timeout));

        let caller = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        assert_eq!(caller.within(second, second).await, Waited::Unknown);

        let caller = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        replies.release(EVENT);
        assert_eq!(caller.within(second, second).await, Waited::Left);
    }

    #[tokio::test(start_paused = true)]
    async fn rejections_count_if_every_caller_waits() {
        let (second, replies) = (Duration::from_secs(1), Replies::default());
        let (duplicate, told) = replies.join(EVENT);
        assert_eq!(told, None);
        assert!(
            !replies.claim(EVENT),
            "the first caller is not here: it may have its 2xx"
        );
        let first = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        replies.release(EVENT);
        assert_eq!(duplicate.within(second, second).await, Waited::Left);
        assert!(!replies.claim(EVENT), "the duplicate has left with a 2xx");
        drop(first);
    }

    #[tokio::test]
    async fn callers_that_hung_up_hear_nothing() {
        let replies = Replies::default();
        let caller = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        drop(caller);
        assert!(!replies.tell(EVENT, &Outcome::Timeout));
    }

    #[tokio::test]
    async fn late_duplicates_are_told() {
        let replies = Replies::default();
        let reply = Reply {
            status: 400,
            headers: Default::default(),
            body: Default::default(),
        };
        replies.tell(EVENT, &Outcome::Done(reply.clone()));
        assert_eq!(replies.join(EVENT).1, Some(reply));
    }
}
