//! What is learned of the bodies of a hook's events: the rules of `[shape]`.

use std::time::Duration;

/// The hook under whose name the ledger keeps the shapes. No hook file can have it.
pub const SHAPE: &str = "_shape";

/// `[shape]` of a hook file. `None` is what the node has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShapeSpec {
    /// Whether the shapes of the hook are learned.
    pub learn: Option<bool>,
    /// Events of a type before its shape is known.
    pub min_events: Option<u64>,
    /// The time before its shape is known.
    pub min_time: Option<Duration>,
    /// A difference becomes a part of the shape after this time.
    pub adopt_after: Option<Duration>,
}
