//! The state of a delivery.

use serde::Serialize;

/// The state of a delivery. The numbers are those of the ledger's tables. Their order counts: a delivery is open before `Done`, and
/// has ended from `Done` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(i16)]
pub enum DeliveryState {
    /// Waits until it is due and a worker is free.
    Pending = 0,
    /// A node has a lease on it.
    Running = 1,
    /// Handled.
    Done = 2,
    /// No further attempt is made; it can be replayed.
    Dead = 3,
    /// It was dead, and a later delivery of its event is done.
    Resolved = 4,
    /// An operator has decided that it is not to be run.
    Discarded = 5,
}

// === impl DeliveryState ===

impl DeliveryState {
    /// All states, in the order of their numbers.
    pub const ALL: [DeliveryState; 6] = [
        DeliveryState::Pending,
        DeliveryState::Running,
        DeliveryState::Done,
        DeliveryState::Dead,
        DeliveryState::Resolved,
        DeliveryState::Discarded,
    ];

    /// The word for it in settings, JSON and output.
    pub fn word(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Running => "running",
            DeliveryState::Done => "done",
            DeliveryState::Dead => "dead",
            DeliveryState::Resolved => "resolved",
            DeliveryState::Discarded => "discarded",
        }
    }

    /// The state that this word names.
    pub fn from_word(word: &str) -> Option<DeliveryState> {
        DeliveryState::ALL
            .into_iter()
            .find(|state| state.word() == word)
    }

    /// The number for it in the ledger's tables.
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
