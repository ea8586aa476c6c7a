//! The learned shapes of events, as the admin API reads and changes them.

use std::sync::Arc;

use async_trait::async_trait;
use landfall_ledger::LedgerError;
use landfall_shape::Shape;

/// The learned shapes. The crate `landfall` implements it, so that this one does not know how they
/// are stored.
#[async_trait]
pub trait Shapes: Send + Sync {
    /// What was learned of a hook, or of one of its event types. `None`: nothing.
    async fn read(
        &self,
        hook: &str,
        event_type: Option<&str>,
    ) -> Result<Option<LearnedHook>, LedgerError>;

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
    /// Whether its events are learned now.
    pub is_learned: bool,
    /// By event type; the type is empty for events without one.
    pub types: Vec<(String, Shape)>,
    /// Events whose type was not learned.
    pub untyped: u64,
}
