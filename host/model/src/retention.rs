//! How long the ledger keeps what has ended.

use std::time::Duration;

/// How long things are kept, from the end of their delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Everything about a delivery that is done or dead.
    pub keep: Duration,
    /// The bodies of those that are done; of dead ones they are kept as long as the rest, to be replayed.
    pub keep_bodies: Duration,
    /// Of the file, in bytes; beyond it the oldest go, whatever their age.
    pub max_size: u64,
}
