//! Searches for missed deliveries, as the admin API starts them.

use std::sync::Arc;
use std::time::Duration;

use landfall_model::SearchReport;

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
