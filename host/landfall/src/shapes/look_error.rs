//! Why a look at the hooks ends early.

use landfall_ledger::LedgerError;

/// Why a look ended early.
pub(super) enum LookError {
    Ledger(LedgerError),
    /// Another node learns by now.
    Elsewhere,
}

// === impl LookError ===

impl From<LedgerError> for LookError {
    fn from(error: LedgerError) -> LookError {
        LookError::Ledger(error)
    }
}

/// What was stored only if this node still learns.
pub(super) fn led(is_stored: bool) -> Result<(), LookError> {
    if is_stored {
        Ok(())
    } else {
        Err(LookError::Elsewhere)
    }
}
