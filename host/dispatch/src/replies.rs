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
    recent: VecDeque<(EventId, Reply)>,
    next: u64,
}

/// How many replies are remembered, and the largest body in bytes: together at most 16 MiB.
const RECENT_MAX: usize = 256;
const RECENT_BYTES_MAX: usize = 64 << 10;

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
    sender: oneshot::Sender<Outcome>,
}

/// One caller that waits; forgotten when dropped.
pub(crate) struct Waiter<'a> {
    replies: &'a Replies,
    event: EventId,
    number: u64,
    receiver: oneshot::Receiver<Outcome>,
}

/// How waiting ended for a caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The outcome of the attempt.
    Replied(Outcome),
    /// No outcome in time. The attempt, if there is one, knows that this caller got another answer.
    TimedOut,
    /// The outcome was about to be sent and could not be stored in time. It may refuse the event, so the caller must not get a 2xx.
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
        let recent = self
            .waiting()
            .recent
            .iter()
            .rev()
            .find(|(ended, _)| *ended == event)
            .map(|(_, reply)| reply.clone());

        (waiter, recent)
    }

    fn add(&self, event: EventId, is_first: bool) -> Waiter<'_> {
        let (sender, receiver) = oneshot::channel();
        let number = self.waiting().add(event, is_first, sender);

        Waiter {
            replies: self,
            event,
            number,
            receiver,
        }
    }

    /// Whether every caller that this event has had still waits here, and will get the outcome that is stored next: from now on
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

    /// Adds a caller of another node. It waits until the outcome is published.
    pub fn adopt(&self, event: EventId, sender: oneshot::Sender<Outcome>) {
        if sender.is_closed() {
            return;
        }
        self.waiting().add(event, false, sender);
    }

    /// No caller gets a reply: the attempt has no outcome that counts.
    pub fn forget(&self, event: EventId) {
        self.waiting().by_event.remove(&event);
    }

    /// Sends the outcome to every caller that waits for this event. Whether one of them received it.
    pub fn publish(&self, event: EventId, outcome: &Outcome) -> bool {
        let callers = {
            let mut waiting = self.waiting();
            if let Outcome::Done(reply) = outcome {
                waiting.remember(event, reply);
            }
            waiting.by_event.remove(&event)
        };
        let callers = callers.into_iter().flat_map(|callers| callers.waiting);
        callers.fold(false, |is_received, caller| {
            caller.sender.send(outcome.clone()).is_ok() | is_received
        })
    }

    /// How many replies are remembered, and the bytes of their bodies.
    pub fn remembered(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (
            waiting.recent.len(),
            waiting
                .recent
                .iter()
                .map(|(_, reply)| reply.body.len())
                .sum(),
        )
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

// === impl Waiting ===

impl Waiting {
    /// The number of the new caller.
    fn add(&mut self, event: EventId, is_first: bool, sender: oneshot::Sender<Outcome>) -> u64 {
        self.next += 1;
        let number = self.next;
        self.by_event
            .entry(event)
            .or_default()
            .waiting
            .push(Caller {
                number,
                is_first,
                sender,
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
        if reply.body.len() <= RECENT_BYTES_MAX {
            self.recent.push_back((event, reply.clone()));
            if self.recent.len() > RECENT_MAX {
                self.recent.pop_front();
            }
        }
    }
}

// === impl Waiter ===

impl Waiter<'_> {
    /// Waits for the outcome for the time `usual`, and for `claimed` more if the outcome is being stored then.
    pub async fn within(mut self, usual: Duration, claimed: Duration) -> Waited {
        if let Ok(outcome) = tokio::time::timeout(usual, &mut self.receiver).await {
            return outcome.map_or(Waited::TimedOut, Waited::Replied);
        }
        if !self.is_claimed() {
            return Waited::TimedOut;
        }
        match tokio::time::timeout(claimed, &mut self.receiver).await {
            Ok(outcome) => outcome.map_or(Waited::TimedOut, Waited::Replied),
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
    async fn every_caller_gets_one_reply() {
        let replies = Replies::default();
        let (first, second) = (replies.wait(EVENT), replies.wait(EVENT));
        drop(second);

        assert!(replies.publish(EVENT, &Outcome::Timeout));
        assert!(!replies.has(EVENT));
        assert_eq!(
            first.within(Duration::ZERO, Duration::ZERO).await,
            Waited::Replied(Outcome::Timeout)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn claimed_outcomes_are_waited_for() {
        let (second, replies) = (Duration::from_secs(1), Replies::default());
        assert!(!replies.claim(EVENT), "no caller waits");
        assert_eq!(
            replies.wait(EVENT).within(second, second).await,
            Waited::TimedOut
        );
        assert!(!replies.claim(EVENT), "the caller has left");

        let caller = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        let late = async {
            tokio::time::sleep(second * 3 / 2).await;
            replies.publish(EVENT, &Outcome::Timeout);
        };
        let (waited, ()) = tokio::join!(caller.within(second, second), late);
        assert_eq!(waited, Waited::Replied(Outcome::Timeout));

        let caller = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        assert_eq!(caller.within(second, second).await, Waited::Unknown);

        let caller = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        replies.release(EVENT);
        assert_eq!(caller.within(second, second).await, Waited::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn rejections_count_if_every_caller_waits() {
        let (second, replies) = (Duration::from_secs(1), Replies::default());
        let (duplicate, recent) = replies.join(EVENT);
        assert_eq!(recent, None);
        assert!(
            !replies.claim(EVENT),
            "the first caller is not here: it may have its 2xx"
        );
        let first = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        replies.release(EVENT);
        assert_eq!(duplicate.within(second, second).await, Waited::TimedOut);
        assert!(!replies.claim(EVENT), "the duplicate has left with a 2xx");
        drop(first);
    }

    #[tokio::test]
    async fn callers_that_hung_up_hear_nothing() {
        let replies = Replies::default();
        let caller = replies.wait(EVENT);
        assert!(replies.claim(EVENT));
        drop(caller);
        assert!(!replies.publish(EVENT, &Outcome::Timeout));
    }

    #[tokio::test]
    async fn late_duplicates_get_the_reply() {
        let replies = Replies::default();
        let reply = Reply {
            status: 400,
            headers: Default::default(),
            body: Default::default(),
        };
        replies.publish(EVENT, &Outcome::Done(reply.clone()));
        assert_eq!(replies.join(EVENT).1, Some(reply));
    }
}
