//! Events of one key, of which one is out at a time: Pub/Sub hands over several of a key at once, and whoever asks has to run them one
//! after another. An event that is to be tried again is waited for here, since nothing of its key may overtake it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use super::parcel::Parcel;

/// Waiting behind others, of all keys together.
const WAITING_MAX: usize = 1000;
const BYTES_MAX: usize = 64 << 20;

/// By key; `H` is what the broker wants to hear of one that waits.
pub struct Lanes<H>(Mutex<Kept<H>>);

struct Kept<H> {
    waiting: HashMap<String, VecDeque<(Parcel, H)>>,
    count: usize,
    bytes: usize,
}

/// The right to be out, of one key. Dropped before its event has ended, it lets go of all that wait behind: the broker brings them again,
/// in their order.
pub struct Lane<H> {
    key: String,
    lanes: Arc<Lanes<H>>,
}

// === impl Lanes ===

impl<H> Lanes<H> {
    /// Nothing waits.
    pub fn new() -> Arc<Lanes<H>> {
        Arc::new(Lanes(Mutex::new(Kept {
            waiting: HashMap::new(),
            count: 0,
            bytes: 0,
        })))
    }

    /// The right to be out now, with what wanted it; none: it waits behind another one.
    pub fn enter(
        self: &Arc<Lanes<H>>,
        key: String,
        parcel: Parcel,
        handle: H,
    ) -> Option<(Parcel, H, Lane<H>)> {
        let mut kept = self.kept();
        if let Some(waiting) = kept.waiting.get_mut(&key) {
            let bytes = size(&parcel);
            waiting.push_back((parcel, handle));
            kept.count += 1;
            kept.bytes += bytes;
            return None;
        }
        kept.waiting.insert(key.clone(), VecDeque::new());
        Some((
            parcel,
            handle,
            Lane {
                key,
                lanes: self.clone(),
            },
        ))
    }

    /// How many more may wait.
    pub fn room(&self) -> usize {
        let kept = self.kept();
        if kept.bytes >= BYTES_MAX {
            0
        } else {
            WAITING_MAX.saturating_sub(kept.count)
        }
    }

    /// All that wait.
    pub fn each<T>(&self, map: impl Fn(&H) -> T) -> Vec<T> {
        self.kept()
            .waiting
            .values()
            .flatten()
            .map(|(_, handle)| map(handle))
            .collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept<H>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

// === impl Lane ===

impl<H> Lane<H> {
    /// Its event is not to end here: those behind it.
    pub fn abandon(self) -> Vec<H> {
        let mut kept = self.lanes.kept();
        let behind = kept
            .waiting
            .get_mut(&self.key)
            .map(std::mem::take)
            .unwrap_or_default();
        kept.count -= behind.len();
        kept.bytes -= behind.iter().map(|(parcel, _)| size(parcel)).sum::<usize>();
        drop(kept);
        behind.into_iter().map(|(_, handle)| handle).collect()
    }

    /// Its event has ended: the next one of the key, if there is one.
    pub fn pass_on(self) -> Option<(Parcel, H, Lane<H>)> {
        let mut kept = self.lanes.kept();
        let (parcel, handle) = kept.waiting.get_mut(&self.key)?.pop_front()?;
        kept.count -= 1;
        kept.bytes -= size(&parcel);
        drop(kept);
        Some((parcel, handle, self))
    }
}

impl<H> Drop for Lane<H> {
    fn drop(&mut self) {
        let mut kept = self.lanes.kept();
        let dropped = kept.waiting.remove(&self.key).unwrap_or_default();
        kept.count -= dropped.len();
        kept.bytes -= dropped
            .iter()
            .map(|(parcel, _)| size(parcel))
            .sum::<usize>();
        drop(kept);
    }
}

fn size(parcel: &Parcel) -> usize {
    parcel.new.stored.event().body.len()
}
