//! Searches for missed deliveries, as the admin API starts them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

/// Searches for missed deliveries. The crate `landfall` implements it, so that this one does not
/// know the APIs of providers.
pub trait Reconcile: Send + Sync {
    /// Starts a search for the deliveries of this hook since this time ago; `None`: for those that
    /// no scheduled search has seen. Returns at once, with its report at the beginning.
    fn start(
        &self,
        hook: &str,
        since: Option<Duration>,
        dry_run: bool,
    ) -> Result<SearchReport, ReconcileRefused>;

    /// The last search of this hook since the start of the node, which may go on.
    fn report(&self, hook: &str) -> Option<SearchReport>;
}

/// As the admin API holds it.
pub type SharedReconcile = Arc<dyn Reconcile>;

/// Why no search was started.
#[derive(Debug, Clone)]
pub enum ReconcileRefused {
    /// Another search of the hook goes on.
    Running(Box<SearchReport>),
    /// No hook has this name. A sentence for the operator.
    NoHook(String),
    /// The hook file or the API does not allow it. A sentence for the operator.
    NotPossible(String),
}

/// One search. Times are in RFC 3339.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SearchReport {
    /// The hook.
    pub hook: String,
    /// The provider as hook files name it.
    #[schema(example = "github")]
    pub provider: &'static str,
    /// Whether the search goes on.
    pub running: bool,
    /// Whether the search changes nothing.
    pub dry_run: bool,
    /// When the search began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Deliveries from this time on. Empty until the search has begun to list them.
    pub since: String,
    /// Deliveries up to this time.
    pub until: String,
    /// Pages of the list that were read.
    pub pages: u64,
    /// Entries of these pages.
    pub listed: u64,
    /// Deliveries that this hook has missed. Without a dry run, they are `accepted`, `skipped`, or
    /// left to the next search.
    pub missed: u64,
    /// Stored as new events.
    pub accepted: u64,
    /// Not missed: the ledger knew them, or an earlier search had handled them.
    pub known: u64,
    /// Not stored, because they can never be: the log says why.
    pub skipped: u64,
    /// Until when the search waits for the rate limit of the API.
    pub waits_until: Option<String>,
    /// The search has reached its limits: the next one goes on.
    pub more: bool,
    /// Why the search ended before it had seen everything.
    pub error: Option<String>,
    /// The first 100 missed deliveries.
    pub deliveries: Vec<MissedDelivery>,
}

/// A delivery that a hook has missed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MissedDelivery {
    /// The provider's id.
    pub id: String,
    /// The type of the event.
    #[serde(rename = "type")]
    pub kind: String,
    /// When the provider sent or made it, in RFC 3339.
    pub at: String,
    /// `missed` in a dry run, otherwise `accepted`, `skipped` or `failed`.
    #[schema(example = "accepted")]
    pub result: &'static str,
    /// The id of the stored event.
    pub event: Option<String>,
}
