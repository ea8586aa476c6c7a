//! The callers that wait for the reply to an event: the one that sent it, and those that repeated
//! it meanwhile.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use landfall_model::{EventId, Outcome, lock};

/// The callers that wait, by event.
#[derive(Default)]
pub(crate) struct Replies {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    by_event: HashMap<EventId, Vec<Caller>>,
    /// The latest outcomes with an answer: a caller may begin to wait just after its event has
    /// ended.
    recent: VecDeque<Published>,
    /// The number of the next caller or outcome.
    next: u64,
}

struct Published {
    number: u64,
    event: EventId,
    outcome: Outcome,
}

/// A moment between the outcomes that are published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(u64);

/// How many replies are remembered, and the largest body in bytes: together at most 16 MiB.
const RECENT_MAX: usize = 256;
const RECENT_BYTES_MAX: usize = 64 << 10;

struct Caller {
    number: u64,
    sender: oneshot::Sender<Outcome>,
}

/// One caller that waits; forgotten when dropped.
pub(crate) struct Waiter<'a> {
    replies: &'a Replies,
    event: EventId,
    number: u64,
    receiver: oneshot::Receiver<Outcome>,
}

// === impl Replies ===

impl Replies {
    /// A caller waits for the outcome of the event's next attempt, for as long as the guard lives.
    pub(crate) fn wait(&self, event: EventId) -> Waiter<'_> {
        let (sender, receiver) = oneshot::channel();
        let number = self.waiting().add(event, sender);

        Waiter {
            replies: self,
            event,
            number,
            receiver,
        }
    }

    /// Now: what `join` compares outcomes with.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.waiting().next)
    }

    /// The caller of a duplicate waits for the first event. Also the outcome, if the event was done
    /// or rejected `since` then. An older outcome is that of an earlier delivery: the event runs
    /// again.
    pub(crate) fn join(&self, event: EventId, since: Moment) -> (Waiter<'_>, Option<Outcome>) {
        let waiter = self.wait(event);
        let recent = self
            .waiting()
            .recent
            .iter()
            .rev()
            .find(|published| published.event == event && published.number >= since.0)
            .map(|published| published.outcome.clone());

        (waiter, recent)
    }

    /// Whether anybody waits for this event.
    pub(crate) fn has(&self, event: EventId) -> bool {
        self.waiting().by_event.contains_key(&event)
    }

    /// Adds a caller of another node. It waits until the outcome is published.
    pub(crate) fn adopt(&self, event: EventId, sender: oneshot::Sender<Outcome>) {
        if sender.is_closed() {
            return;
        }
        self.waiting().add(event, sender);
    }

    /// No caller gets a reply: the attempt has no outcome that counts.
    pub(crate) fn forget(&self, event: EventId) {
        self.waiting().by_event.remove(&event);
    }

    /// Sends the outcome to every caller that waits for this event. Whether one of them received
    /// it.
    pub(crate) fn publish(&self, event: EventId, outcome: &Outcome) -> bool {
        let callers = {
            let mut waiting = self.waiting();
            waiting.remember(event, outcome);
            waiting.by_event.remove(&event)
        };
        callers
            .into_iter()
            .flatten()
            .fold(false, |is_received, caller| {
                caller.sender.send(outcome.clone()).is_ok() | is_received
            })
    }

    /// How many replies are remembered, and the bytes of their bodies.
    pub(crate) fn remembered(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (
            waiting.recent.len(),
            waiting
                .recent
                .iter()
                .map(|published| reply_bytes(&published.outcome))
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
    fn add(&mut self, event: EventId, sender: oneshot::Sender<Outcome>) -> u64 {
        let number = self.take_number();
        self.by_event
            .entry(event)
            .or_default()
            .push(Caller { number, sender });
        number
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn remove(&mut self, event: EventId, number: u64) {
        let Some(callers) = self.by_event.get_mut(&event) else {
            return;
        };
        callers.retain(|caller| caller.number != number);
        if callers.is_empty() {
            self.by_event.remove(&event);
        }
    }

    fn forget_outcome(&mut self, event: EventId) {
        self.recent.retain(|published| published.event != event);
    }

    fn remember(&mut self, event: EventId, outcome: &Outcome) {
        let is_answer = matches!(outcome, Outcome::Done(_) | Outcome::Reject { .. });
        if !is_answer || reply_bytes(outcome) > RECENT_BYTES_MAX {
            self.forget_outcome(event);
            return;
        }

        // An older outcome of the same event may stay: `join` finds the newest first.
        let number = self.take_number();
        self.recent.push_back(Published {
            number,
            event,
            outcome: outcome.clone(),
        });
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }
}

fn reply_bytes(outcome: &Outcome) -> usize {
    outcome.reply().map_or(0, |reply| reply.body.len())
}

// === impl Waiter ===

impl Waiter<'_> {
    /// The outcome of the event's next attempt; `None` if there is none within `time`.
    pub(crate) async fn within(mut self, time: Duration) -> Option<Outcome> {
        tokio::time::timeout(time, &mut self.receiver)
            .await
            .ok()?
            .ok()
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
    async fn every_caller_gets_one_outcome() {
        let replies = Replies::default();
        let (first, second, gone) = (
            replies.wait(EVENT),
            replies.wait(EVENT),
            replies.wait(EVENT),
        );
        drop(gone);

        assert!(replies.publish(EVENT, &Outcome::Timeout));
        assert!(!replies.has(EVENT));
        for waiter in [first, second] {
            assert_eq!(waiter.within(Duration::ZERO).await, Some(Outcome::Timeout));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_leave_in_time() {
        let replies = Replies::default();
        assert_eq!(
            replies.wait(EVENT).within(Duration::from_secs(1)).await,
            None
        );
        assert!(!replies.publish(EVENT, &Outcome::Timeout));
    }

    #[tokio::test]
    async fn late_duplicates_get_the_outcome() {
        let replies = Replies::default();
        let start = replies.now();
        assert_eq!(replies.join(EVENT, start).1, None);

        let reply = landfall_model::Reply {
            status: 200,
            headers: Default::default(),
            body: Default::default(),
        };
        for outcome in [
            Outcome::Done(None),
            Outcome::Done(Some(reply)),
            Outcome::reject("never"),
        ] {
            replies.publish(EVENT, &outcome);
            assert_eq!(replies.join(EVENT, start).1, Some(outcome));
        }
        replies.publish(EVENT, &Outcome::Timeout);
        assert_eq!(replies.join(EVENT, start).1, None, "it runs again");
        replies.publish(EVENT, &Outcome::Done(None));
        let later = replies.now();
        assert_eq!(replies.join(EVENT, later).1, None, "an earlier delivery");
        assert!(replies.join(EVENT, start).1.is_some());
    }
}
