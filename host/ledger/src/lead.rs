//! The right to do what only one node of a shared ledger does, such as to watch the hooks.

/// Which node has such a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// This node. No other node has had it since the last answer that this one has received.
    Held,
    /// This node, from now on. What it remembers of an earlier time may be old: another node may
    /// have had the right since. So is the first answer after one that was lost.
    Taken,
    /// Another node.
    Elsewhere,
}

// === impl Lead ===

impl Lead {
    /// Whether this node has the right.
    pub fn is_own(self) -> bool {
        self != Lead::Elsewhere
    }
}
