//! What an operator erases of events.

use serde::Serialize;

/// What became of one event that was to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// What it contained was removed, or would be in a dry run. The fact of it stays.
    Erased(ErasedParts),
    /// A delivery of it is pending or running: discard it, or wait for its end.
    Open,
    /// It was erased before.
    Before,
    /// No event has this id.
    Unknown,
}

/// What was removed besides the body and the head of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ErasedParts {
    /// Attempts that lost their calls, log lines and reasons.
    pub attempts: i64,
    /// Rows that its handler stored.
    pub rows: i64,
    /// Values that its handler set, and that no later event has changed.
    pub values: i64,
}

/// What the files of a ledger may still have of removed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrubbed {
    /// Nothing: free pages were returned, and the log was emptied.
    Clean,
    /// The log still has it, because a reader needs an old state of the ledger. Try again.
    Busy,
    /// The database decides: PostgreSQL overwrites removed rows when it vacuums.
    Elsewhere,
}
