//! The part of a hook that is needed to run its events.

use std::sync::Arc;
use std::time::Duration;

use super::candidate::CandidateCell;
use super::handler::Handler;
use super::permits::Permits;
use landfall_flow::Flow;
use landfall_model::{Event, Quota, RetrySpec};

/// The key of an event by which a hook orders its events.
pub type OrderOf = Arc<dyn Fn(&Event) -> Option<String> + Send + Sync>;

/// What runs the events of a hook, and the rules for it.
#[derive(Clone)]
pub struct Target {
    /// The linked component.
    pub handler: Arc<Handler>,
    /// The version that is tried beside it.
    pub candidate: Arc<CandidateCell>,
    /// The permits of the hook.
    pub permits: Permits,
    /// The limit of one attempt.
    pub deadline: Duration,
    /// When a failed attempt is repeated.
    pub retry: RetrySpec,
    /// The most attempts that start in a second.
    pub max_rate: Option<f64>,
    /// The key by which events are ordered: at most one event of a key runs at a time.
    pub order_of: Option<OrderOf>,
    /// What happens to events before they run.
    pub flow: Arc<Flow>,
    /// How long the key of an emission identifies it.
    pub dedup_window: Duration,
    /// What the hook may store.
    pub quota: Quota,
    /// A duplicate receives the handler's reply to the first delivery.
    pub repeats_reply: bool,
}
