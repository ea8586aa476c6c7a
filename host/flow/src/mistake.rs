//! A mistake in the flow of a hook file.

/// A mistake in the flow of a hook file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FlowMistake {
    /// The key with the mistake: its table, and its name.
    pub key: [&'static str; 2],
    /// What is wrong, and what to do.
    pub message: String,
}

// === impl FlowMistake ===

impl FlowMistake {
    pub(crate) fn new(key: [&'static str; 2], message: impl Into<String>) -> FlowMistake {
        FlowMistake {
            key,
            message: message.into(),
        }
    }
}
