//! Why the dispatcher did not store an event.

use landfall_broker::BrokerError;
use landfall_ledger::LedgerError;

/// An event was not stored, as far as this node can tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The broker refused, or did not answer.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The `[redact]` of its hook is not known, so that nothing may be stored for it.
    #[error("{0}")]
    UnknownRules(String),
}

// === impl DispatchError ===

impl DispatchError {
    /// The event can never be stored, since it is larger than the broker takes.
    pub fn is_too_large(&self) -> bool {
        matches!(self, DispatchError::Broker(BrokerError::TooLarge { .. }))
    }
}
