//! What a job does with its events.

use serde_json::{Value, json};

/// What a job does with each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Replay,
    Discard,
    RetryNow,
    /// Removes what the events contain.
    Erase,
}

// === impl Command ===

impl Command {
    pub(crate) fn from_word(word: &str) -> Option<Command> {
        match word {
            "replay" => Some(Command::Replay),
            "discard" => Some(Command::Discard),
            "retry-now" => Some(Command::RetryNow),
            "erase" => Some(Command::Erase),
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Command::Replay => "replay",
            Command::Discard => "discard",
            Command::RetryNow => "retry-now",
            Command::Erase => "erase",
        }
    }

    /// The state of the deliveries if the search names none. `None`: any.
    pub(super) fn state(self) -> Option<&'static str> {
        match self {
            Command::Replay | Command::Discard => Some("dead"),
            Command::RetryNow => Some("pending"),
            Command::Erase => None,
        }
    }

    /// Whether it needs a confirmation.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Command::Discard | Command::Erase)
    }

    /// The order for these events.
    pub(super) fn order(self, events: &[String], reason: &str) -> Value {
        match self {
            // The job keeps the rate: the ledger need not.
            Command::Replay => json!({ "events": events, "per_second": 100_000.0 }),
            Command::Discard => json!({ "events": events, "reason": reason }),
            Command::RetryNow | Command::Erase => json!({ "events": events }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_one_word() {
        for word in ["replay", "discard", "retry-now", "erase"] {
            assert_eq!(Command::from_word(word).map(Command::word), Some(word));
        }
        assert_eq!(Command::from_word("purge"), None);
        assert_eq!(
            Command::Discard.order(&["a".into()], "old"),
            json!({ "events": ["a"], "reason": "old" })
        );
    }
}
