//! Runs one event of an order key at a time. Pub/Sub delivers several messages of a key at once:
//! the later ones wait here. A message that is retried keeps its place, since no event of its key
//! may overtake it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use landfall_model::lock;

use super::envelope::Envelope;

/// The most messages that wait behind others, over all keys.
const WAITING_MAX: usize = 1000;
/// The most bytes of their bodies.
const BYTES_MAX: usize = 64 << 20;

/// The messages that wait, by key. `H` is the broker's handle of a message.
pub(crate) struct OrderedDispatch<H>(Mutex<Waiting<H>>);

struct Waiting<H> {
    by_key: HashMap<String, VecDeque<(Envelope, H)>>,
    count: usize,
    bytes: usize,
}

/// The right to run the events of one key. Dropping it forgets the messages that wait behind: the
/// broker redelivers them, in their order.
pub(crate) struct KeyGuard<H> {
    key: String,
    ordered: Arc<OrderedDispatch<H>>,
}

// === impl OrderedDispatch ===

impl<H> OrderedDispatch<H> {
    pub(crate) fn new() -> Arc<OrderedDispatch<H>> {
        Arc::new(OrderedDispatch(Mutex::new(Waiting {
            by_key: HashMap::new(),
            count: 0,
            bytes: 0,
        })))
    }

    /// The message with the right to run it now. `None`: it waits behind another message of its
    /// key.
    pub(crate) fn enter(
        self: &Arc<OrderedDispatch<H>>,
        key: String,
        envelope: Envelope,
        handle: H,
    ) -> Option<(Envelope, H, KeyGuard<H>)> {
        let mut waiting = lock(&self.0);
        if let Some(behind) = waiting.by_key.get_mut(&key) {
            let bytes = size(&envelope);
            behind.push_back((envelope, handle));
            waiting.count += 1;
            waiting.bytes += bytes;
            return None;
        }

        waiting.by_key.insert(key.clone(), VecDeque::new());
        let guard = KeyGuard {
            key,
            ordered: self.clone(),
        };
        Some((envelope, handle, guard))
    }

    /// How many more messages may wait.
    pub(crate) fn free(&self) -> usize {
        let waiting = lock(&self.0);
        if waiting.bytes >= BYTES_MAX {
            0
        } else {
            WAITING_MAX.saturating_sub(waiting.count)
        }
    }
}

impl<H: Clone> OrderedDispatch<H> {
    /// The handles of all messages that wait.
    pub(crate) fn handles(&self) -> Vec<H> {
        let waiting = lock(&self.0);
        let messages = waiting.by_key.values().flatten();
        messages.map(|(_, handle)| handle.clone()).collect()
    }
}

// === impl KeyGuard ===

impl<H> KeyGuard<H> {
    /// The message does not end here: the handles of those that wait behind it.
    pub(crate) fn abandon(self) -> Vec<H> {
        let mut waiting = lock(&self.ordered.0);
        let behind = waiting
            .by_key
            .get_mut(&self.key)
            .map(std::mem::take)
            .unwrap_or_default();
        waiting.forget(&behind);
        drop(waiting);

        behind.into_iter().map(|(_, handle)| handle).collect()
    }

    /// The message has ended: the next one of its key, if one waits.
    pub(crate) fn pass_on(self) -> Option<(Envelope, H, KeyGuard<H>)> {
        let mut waiting = lock(&self.ordered.0);
        let (envelope, handle) = waiting.by_key.get_mut(&self.key)?.pop_front()?;
        waiting.count -= 1;
        waiting.bytes -= size(&envelope);
        drop(waiting);

        Some((envelope, handle, self))
    }
}

impl<H> Drop for KeyGuard<H> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.ordered.0);
        let dropped = waiting.by_key.remove(&self.key).unwrap_or_default();
        waiting.forget(&dropped);
        drop(waiting);
    }
}

// === impl Waiting ===

impl<H> Waiting<H> {
    fn forget(&mut self, messages: &VecDeque<(Envelope, H)>) {
        self.count -= messages.len();
        let sizes = messages.iter().map(|(envelope, _)| size(envelope));
        self.bytes -= sizes.sum::<usize>();
    }
}

fn size(envelope: &Envelope) -> usize {
    envelope.event().body.len()
}
