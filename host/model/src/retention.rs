//! How long the ledger keeps deliveries that have ended.

use std::time::Duration;

/// How long the ledger keeps a delivery after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The delivery with its attempts: `ledger.retention`.
    pub deliveries: Duration,
    /// The body of its event, if it is done: `ledger.body_retention`. A dead delivery keeps its body, so that it can be replayed.
    pub bodies: Duration,
    /// The largest size of the file in bytes. Above it, the oldest deliveries are removed before their time.
    pub max_size: u64,
}
