//! The attempts that wait to be repeated by candidates. Hooks take turns, and at most one run of
//! each hook is taken out at a time, so that a slow candidate delays no other hook. The queue is
//! bounded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use landfall_model::lock;
use tokio::sync::Notify;

/// The most runs that wait or run, including those whose attempts have not ended.
const PLACES_MAX: usize = 64;
/// The most of one hook.
const HOOK_PLACES_MAX: usize = 16;
/// The most bytes of their events.
const BYTES_MAX: usize = 32 << 20;

/// The queue. Clones are the same queue.
pub(crate) struct ShadowQueue<T>(Arc<Shared<T>>);

/// The right to put one run into the queue, which it keeps until the run has ended.
pub(crate) struct Place<T> {
    shared: Arc<Shared<T>>,
    hook: Arc<str>,
    bytes: usize,
}

/// A run whose turn it is. While this exists, no other run of its hook is taken out.
pub(crate) struct Turn<T> {
    /// The run. It is there until it is taken.
    item: Option<T>,
    place: Place<T>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

struct State<T> {
    hooks: BTreeMap<Arc<str>, HookQueue<T>>,
    /// The hooks of which a run can be taken out, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    places: usize,
    bytes: usize,
}

struct HookQueue<T> {
    waiting: VecDeque<(T, Place<T>)>,
    places: usize,
    is_running: bool,
    pause: Option<Pause>,
}

/// Nothing of a candidate is repeated for some time.
#[derive(Clone, Copy)]
struct Pause {
    candidate: u64,
    until: Instant,
}

// === impl ShadowQueue ===

impl<T> ShadowQueue<T> {
    pub(crate) fn new() -> ShadowQueue<T> {
        let state = State {
            hooks: BTreeMap::new(),
            turns: VecDeque::new(),
            places: 0,
            bytes: 0,
        };
        ShadowQueue(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// A place for a run of this candidate, whose event has so many bytes. `None`: too many wait,
    /// or the candidate pauses.
    pub(crate) fn reserve(
        &self,
        hook: &Arc<str>,
        candidate: u64,
        bytes: usize,
    ) -> Option<Place<T>> {
        let mut state = self.0.lock();
        if state.places >= PLACES_MAX || state.bytes + bytes > BYTES_MAX {
            return None;
        }
        let queue = state.hooks.entry(hook.clone()).or_default();
        if queue.places >= HOOK_PLACES_MAX || queue.pauses(candidate) {
            return None;
        }
        queue.places += 1;
        state.places += 1;
        state.bytes += bytes;
        Some(Place {
            shared: self.0.clone(),
            hook: hook.clone(),
            bytes,
        })
    }

    /// The next run, if one waits whose hook has none that runs.
    pub(crate) fn next(&self) -> Option<Turn<T>> {
        let mut state = self.0.lock();
        let hook = state.turns.pop_front()?;
        let queue = state.hooks.get_mut(&hook)?;
        let (item, place) = queue.waiting.pop_front()?;
        queue.is_running = true;
        Some(Turn {
            item: Some(item),
            place,
        })
    }

    /// Waits until there may be a next run.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

// === impl Place ===

impl<T> Place<T> {
    /// Puts the run into the queue.
    pub(crate) fn push(self, item: T) {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let hook = self.hook.clone();
        let Some(queue) = state.hooks.get_mut(&hook) else {
            return;
        };
        queue.waiting.push_back((item, self));
        if queue.waiting.len() == 1 && !queue.is_running {
            state.turns.push_back(hook);
        }
        drop(state);
        shared.changed.notify_one();
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.places -= 1;
        state.bytes -= self.bytes;
        if let Some(queue) = state.hooks.get_mut(&self.hook) {
            queue.places -= 1;
            if queue.is_unused() {
                state.hooks.remove(&self.hook);
            }
        }
    }
}

// === impl Turn ===

impl<T> Turn<T> {
    /// The run. Once.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.item.take()
    }

    /// Nothing of this candidate is repeated for some time. Returns what waited of its hook.
    pub(crate) fn pause(&self, candidate: u64, time: Duration) -> Vec<T> {
        let mut state = self.place.shared.lock();
        let Some(queue) = state.hooks.get_mut(&self.place.hook) else {
            return Vec::new();
        };
        queue.pause = Some(Pause {
            candidate,
            until: Instant::now() + time,
        });
        let waiting = std::mem::take(&mut queue.waiting);
        // Places lock the state when they are dropped.
        drop(state);
        waiting.into_iter().map(|(item, _place)| item).collect()
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        let shared = &self.place.shared;
        let mut state = shared.lock();
        let hook = &self.place.hook;
        if let Some(queue) = state.hooks.get_mut(hook) {
            queue.is_running = false;
            if !queue.waiting.is_empty() {
                state.turns.push_back(hook.clone());
            }
        }
        drop(state);
        shared.changed.notify_one();
    }
}

// === impl Shared ===

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }
}

// === impl HookQueue ===

impl<T> HookQueue<T> {
    fn pauses(&self, candidate: u64) -> bool {
        let pause = self.pause;
        pause.is_some_and(|pause| pause.candidate == candidate && Instant::now() < pause.until)
    }

    /// Whether nothing of the hook is left.
    fn is_unused(&self) -> bool {
        let is_paused = self.pause.is_some_and(|pause| Instant::now() < pause.until);
        self.places == 0 && !is_paused
    }
}

impl<T> Default for HookQueue<T> {
    fn default() -> HookQueue<T> {
        HookQueue {
            waiting: VecDeque::new(),
            places: 0,
            is_running: false,
            pause: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn hook(name: &str) -> Arc<str> {
        name.into()
    }

    fn push(queue: &ShadowQueue<u32>, name: &str, item: u32) {
        queue.reserve(&hook(name), 1, 1).unwrap().push(item);
    }

    fn used(queue: &ShadowQueue<u32>) -> (usize, usize, usize) {
        let state = queue.0.lock();
        (state.places, state.bytes, state.hooks.len())
    }

    #[test]
    fn what_waits_is_bounded() {
        let queue = ShadowQueue::<u32>::new();
        let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        let reserve = |name: &String| queue.reserve(&hook(name), 1, 1);
        let places = names
            .iter()
            .flat_map(|name| (0..20).filter_map(|_| reserve(name)).collect::<Vec<_>>());
        let places: Vec<_> = places.collect();
        assert_eq!(places.len(), PLACES_MAX);
        let of_first = places.iter().filter(|place| *place.hook == *"0").count();
        assert_eq!(of_first, HOOK_PLACES_MAX);
        drop(places);
        assert_eq!(used(&queue), (0, 0, 0));

        let large = queue.reserve(&hook("a"), 1, BYTES_MAX);
        assert!(large.is_some() && queue.reserve(&hook("b"), 1, 1).is_none());
        drop(large);
        assert!(queue.reserve(&hook("b"), 1, 1).is_some());
    }

    #[test]
    fn hooks_take_turns() {
        let queue = ShadowQueue::new();
        for item in 0..3 {
            push(&queue, "a", item);
        }
        push(&queue, "b", 10);
        let mut first = queue.next().unwrap();
        let mut other = queue.next().unwrap();
        assert_eq!((first.take(), other.take()), (Some(0), Some(10)));
        // One of a hook at a time, however long it takes.
        assert!(queue.next().is_none());
        drop(other);
        assert!(queue.next().is_none());
        push(&queue, "b", 11);
        assert_eq!(queue.next().unwrap().take(), Some(11));
        drop(first);
        assert_eq!(queue.next().unwrap().take(), Some(1));
        assert_eq!(queue.next().unwrap().take(), Some(2));
        assert!(queue.next().is_none());
        assert_eq!(used(&queue), (0, 0, 0));
    }

    #[test]
    fn pauses_are_of_one_candidate() {
        let queue = ShadowQueue::new();
        for item in 0..3 {
            push(&queue, "a", item);
        }
        push(&queue, "b", 10);
        let turn = queue.next().unwrap();
        assert_eq!(turn.pause(1, LONG), [1, 2]);
        drop(turn);
        assert!(queue.reserve(&hook("a"), 1, 1).is_none());
        assert!(queue.reserve(&hook("a"), 2, 1).is_some(), "a newer file");
        assert_eq!(queue.next().unwrap().take(), Some(10));
        assert!(queue.next().is_none());

        push(&queue, "b", 11);
        let turn = queue.next().unwrap();
        turn.pause(1, Duration::ZERO);
        drop(turn);
        push(&queue, "b", 12);
        assert_eq!(queue.next().unwrap().take(), Some(12));
    }

    #[tokio::test]
    async fn pushes_and_ends_wake() {
        let queue = ShadowQueue::new();
        push(&queue, "a", 1);
        queue.changed().await;
        let turn = queue.next().unwrap();
        drop(turn);
        queue.changed().await;
    }
}
