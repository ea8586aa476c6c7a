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
    recent: VecDeque<(EventId, Outcome)>,
    next: u64,
}

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

    /// The caller of a duplicate waits for the first event. Also the outcome, if the event is done
    /// or rejected since a short time.
    pub(crate) fn join(&self, event: EventId) -> (Waiter<'_>, Option<Outcome>) {
        let waiter = self.wait(event);
        let recent = self
            .waiting()
            .recent
            .iter()
            .rev()
            .find(|(ended, _)| *ended == event)
            .map(|(_, outcome)| outcome.clone());

        (waiter, recent)
    }

    /// The event runs again: its last outcome is no answer to a duplicate any more.
    pub(crate) fn forget_outcome(&self, event: EventId) {
        self.waiting().forget_outcome(event);
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
                .map(|(_, outcome)| reply_bytes(outcome))
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
        self.next += 1;
        let number = self.next;
        self.by_event
            .entry(event)
            .or_default()
            .push(Caller { number, sender });
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
        self.recent.retain(|(ended, _)| *ended != event);
    }

    fn remember(&mut self, event: EventId, outcome: &Outcome) {
        let is_answer = matches!(outcome, Outcome::Done(_) | Outcome::Reject { .. });
        if !is_answer || reply_bytes(outcome) > RECENT_BYTES_MAX {
            self.forget_outcome(event);
            return;
        }

        // An older outcome of the same event may stay: `join` finds the newest first.
        self.recent.push_back((event, outcome.clone()));
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
        assert_eq!(replies.join(EVENT).1, None);

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
            assert_eq!(replies.join(EVENT).1, Some(outcome));
        }
        replies.publish(EVENT, &Outcome::Timeout);
        assert_eq!(replies.join(EVENT).1, None, "it runs again");
        replies.publish(EVENT, &Outcome::Done(None));
        replies.forget_outcome(EVENT);
        assert_eq!(replies.join(EVENT).1, None);
    }
}
