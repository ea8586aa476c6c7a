//! The learned shapes of events, as the admin API reads and changes them.

use std::sync::Arc;

use async_trait::async_trait;
use landfall_ledger::LedgerError;
use landfall_shape::{Shape, Summary};

/// The learned shapes. The crate `landfall` implements it, so that this one does not know how they
/// are stored. Shapes can be large: they are read one at a time.
#[async_trait]
pub trait Shapes: Send + Sync {
    /// Whether the events of a hook are learned now.
    fn is_learned(&self, hook: &str) -> bool;

    /// What was learned of a hook, by the names of its event types. `None`: nothing.
    async fn learned(&self, hook: &str) -> Result<Option<LearnedHook>, LedgerError>;

    /// What was learned of an event type, without its places. `None`: nothing.
    async fn summary(&self, hook: &str, event_type: &str) -> Result<Option<Summary>, LedgerError>;

    /// What was learned of an event type. `None`: nothing.
    async fn shape(&self, hook: &str, event_type: &str) -> Result<Option<Shape>, LedgerError>;

    /// Changes what was learned of a hook, or of one of its event types. Returns whether that is
    /// done. If not, the node that learns does it at its next look.
    async fn change(
        &self,
        hook: &str,
        event_type: Option<&str>,
        change: ShapeChange,
    ) -> Result<bool, LedgerError>;
}

/// As the admin API holds it.
pub type SharedShapes = Arc<dyn Shapes>;

/// What an operator changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShapeChange {
    /// Everything that was seen is a part of the shape.
    Accept,
    /// The shape is learned anew.
    Forget,
}

/// What was learned of a hook.
#[derive(Debug, Clone)]
pub struct LearnedHook {
    /// The event types, in the order of their names; empty for events without one. At most 64.
    pub types: Vec<String>,
    /// Events whose type was not learned.
    pub untyped: u64,
}
