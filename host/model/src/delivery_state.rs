//! The state of a delivery.

use serde::Serialize;

/// The state of a delivery. The ledger's tables contain these numbers. Their order matters: a
/// delivery has ended if its state is `Done` or greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(i16)]
pub enum DeliveryState {
    /// The delivery is held: for quiet (`[debounce]`), or for its batch (`[batch]`) to be complete and
    /// to end.
    Waiting = -1,
    /// The delivery waits until it is due and a worker is free.
    Pending = 0,
    /// A node has a lease on the delivery.
    Running = 1,
    /// The event is handled.
    Done = 2,
    /// No further attempt is made. The event can be replayed.
    Dead = 3,
    /// The delivery was dead, and a later delivery of its event is done.
    Resolved = 4,
    /// An operator discarded the delivery.
    Discarded = 5,
    /// `[filter]` of the hook has kept the event from running. The event can be replayed.
    Filtered = 6,
    /// Another event of the same debounced group ran instead. The event can be replayed.
    Superseded = 7,
}

// === impl DeliveryState ===

impl DeliveryState {
    /// All states, in the order of their numbers.
    pub const ALL: [DeliveryState; 9] = [
        DeliveryState::Waiting,
        DeliveryState::Pending,
        DeliveryState::Running,
        DeliveryState::Done,
        DeliveryState::Dead,
        DeliveryState::Resolved,
        DeliveryState::Discarded,
        DeliveryState::Filtered,
        DeliveryState::Superseded,
    ];

    /// The name of the state in settings, JSON and output.
    pub fn word(self) -> &'static str {
        match self {
            DeliveryState::Waiting => "waiting",
            DeliveryState::Pending => "pending",
            DeliveryState::Running => "running",
            DeliveryState::Done => "done",
            DeliveryState::Dead => "dead",
            DeliveryState::Resolved => "resolved",
            DeliveryState::Discarded => "discarded",
            DeliveryState::Filtered => "filtered",
            DeliveryState::Superseded => "superseded",
        }
    }

    /// The state with this name.
    pub fn from_word(word: &str) -> Option<DeliveryState> {
        DeliveryState::ALL
            .into_iter()
            .find(|state| state.word() == word)
    }

    /// The number of the state in the ledger's tables.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The state with this number.
    pub fn from_number(number: i64) -> Option<DeliveryState> {
        DeliveryState::ALL
            .into_iter()
            .find(|state| i64::from(state.number()) == number)
    }
}
