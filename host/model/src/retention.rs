//! How long the ledger keeps deliveries that have ended.

use std::time::Duration;

/// How long the ledger keeps a delivery after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// `ledger.retention`: for the delivery with its attempts.
    pub deliveries: Duration,
    /// `ledger.body_retention`: for the body of its event, if the delivery is done. A dead delivery
    /// keeps its body, so that it can be replayed.
    pub bodies: Duration,
    /// The largest size of the file in bytes. Above it, the oldest deliveries are removed before
    /// their time.
    pub max_size: u64,
}
