//! A hook as somebody sees it who runs its events.

use std::sync::Arc;
use std::time::Duration;

use super::{Handler, Slots};
use landfall_model::{Event, Quota, RetrySpec};

/// The key of an event by which a hook orders its events.
pub type OrderOf = Arc<dyn Fn(&Event) -> Option<String> + Send + Sync>;

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
    /// One of the same key runs at a time, if this is there.
    pub order_of: Option<OrderOf>,
    /// How long the key of an emission counts.
    pub dedup_window: Duration,
    /// What it may keep.
    pub quota: Quota,
    /// A duplicate gets the handler's reply to the first delivery again.
    pub repeats_reply: bool,
}
