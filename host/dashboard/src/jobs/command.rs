//! What a job does with its events.

use serde_json::{Value, json};

/// What a job does with each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Replay,
    Discard,
    RetryNow,
}

// === impl Command ===

impl Command {
    pub(crate) fn from_word(word: &str) -> Option<Command> {
        match word {
            "replay" => Some(Command::Replay),
            "discard" => Some(Command::Discard),
            "retry-now" => Some(Command::RetryNow),
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Command::Replay => "replay",
            Command::Discard => "discard",
            Command::RetryNow => "retry-now",
        }
    }

    /// The state of the deliveries if the search names none.
    pub(super) fn state(self) -> &'static str {
        match self {
            Command::Replay | Command::Discard => "dead",
            Command::RetryNow => "pending",
        }
    }

    /// The order for these events.
    pub(super) fn order(self, events: &[String], reason: &str) -> Value {
        match self {
            // The job keeps the rate: the ledger need not.
            Command::Replay => json!({ "events": events, "per_second": 100_000.0 }),
            Command::Discard => json!({ "events": events, "reason": reason }),
            Command::RetryNow => json!({ "events": events }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_one_word() {
        for word in ["replay", "discard", "retry-now"] {
            assert_eq!(Command::from_word(word).map(Command::word), Some(word));
        }
        assert_eq!(Command::from_word("purge"), None);
        assert_eq!(
            Command::Discard.order(&["a".into()], "old"),
            json!({ "events": ["a"], "reason": "old" })
        );
    }
}
