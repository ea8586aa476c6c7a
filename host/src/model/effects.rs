//! What an attempt leaves behind if it is done: staged while the handler runs, applied with the outcome or not at all.

use super::delivery::Row;

/// The staged writes of one attempt, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// Rows for named tables.
    pub rows: Vec<Row>,
}

// === impl Effects ===

impl Effects {
    /// Nothing is left behind.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
