//! A hook as somebody sees it who runs its events.

use std::sync::Arc;
use std::time::Duration;

use super::{Handler, Slots};
use crate::model::RetrySpec;

/// What must be known of a hook to run its events.
#[derive(Clone)]
pub struct Target {
    /// Its component, linked.
    pub handler: Arc<Handler>,
    /// Its places.
    pub slots: Slots,
    /// Of one attempt.
    pub deadline: Duration,
    /// When a failed one is tried again.
    pub retry: RetrySpec,
    /// Attempts that may begin in a second.
    pub max_rate: Option<f64>,
    /// One of a key at a time.
    pub is_ordered: bool,
}
