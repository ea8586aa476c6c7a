//! What happens to the events of a hook before they run: `[filter]`, `[debounce]`, `[batch]` and
//! `[transform]` of its file, and what an event waits for.

use std::time::Duration;

use http::HeaderValue;

use super::condition::Condition;
use super::value_location::ValueLocation;

/// The steps before a run, in their order. The default has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FlowSpec {
    /// All must hold, or the event is filtered.
    pub filter: Vec<Condition>,
    /// Of several events with the same key, one runs.
    pub debounce: Option<DebounceSpec>,
    /// Several events run together.
    pub batch: Option<BatchSpec>,
    /// The body that the handler receives.
    pub transform: Option<TransformSpec>,
}

/// `[debounce]`: of the events with one key that arrive close to each other, one runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebounceSpec {
    /// Where the key is. `None`: all events of the hook have the same key.
    pub key: Option<ValueLocation>,
    /// The event runs when no other one has arrived for this time.
    pub wait: Duration,
    /// The event runs at the latest this long after the first one of its group.
    pub maximum: Duration,
    /// Which event of the group runs.
    pub keep: Keep,
}

/// Which event of a debounced group runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The one that arrived last.
    #[default]
    Last,
    /// The one that arrived first.
    First,
}

/// `[batch]`: events that run together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSpec {
    /// Only events with the same value at this place run together. `None`: all events do.
    pub key: Option<ValueLocation>,
    /// The most events of a batch.
    pub count: u32,
    /// A batch runs at the latest this long after its first event.
    pub time: Duration,
    /// After so many failed attempts of the whole batch, each of its events runs alone.
    pub split_after: u32,
}

/// `[transform]`: the body that the handler receives instead of the one that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformSpec {
    /// A template in the language of minijinja, which sees `event`.
    pub body: String,
    /// The content type of what the template makes.
    pub content_type: HeaderValue,
}

/// Whether a new event runs, and what it waits for. The ledger stores it with the event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Admission {
    /// The event may run.
    #[default]
    Run,
    /// The event does not run: this condition does not hold.
    Filtered(String),
    /// The event waits for others.
    Hold(Hold),
}

/// What an event waits for: first for quiet, then for a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The debounced group of the event.
    pub debounce: Option<DebounceHold>,
    /// The batch of the event, after its group is closed.
    pub batch: Option<BatchHold>,
}

/// A debounced group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebounceHold {
    /// At most `HELD_KEY_MAX` bytes.
    pub key: Vec<u8>,
    /// As in `DebounceSpec`.
    pub wait: Duration,
    /// As in `DebounceSpec`.
    pub maximum: Duration,
    /// As in `DebounceSpec`.
    pub keep: Keep,
}

/// A batch that collects events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHold {
    /// At most `HELD_KEY_MAX` bytes.
    pub key: Vec<u8>,
    /// The most events of the batch.
    pub count: u32,
    /// How long the batch collects.
    pub time: Duration,
    /// The most bytes of the batch.
    pub bytes_max: usize,
    /// The bytes of this event in the batch.
    pub bytes: usize,
}

/// The most bytes of the key of a group. A longer key is its digest.
pub const HELD_KEY_MAX: usize = 128;
/// The most groups of one hook that are open at the same time, of each of `[debounce]` and
/// `[batch]`. An event that would open another one does not wait.
pub const OPEN_GROUPS_MAX: usize = 10_000;
