//! The search for missed deliveries, as the admin API starts it.

use std::sync::Arc;
use std::time::Duration;

use landfall_admin::{Reconcile, ReconcileRefused};
use landfall_model::SearchReport;
use landfall_reconcile::{Order, Reconciler, StartError};

/// The searches of a running node.
pub(crate) struct OfNode(pub(crate) Arc<Reconciler>);

impl Reconcile for OfNode {
    fn start(
        &self,
        hook: &str,
        since: Option<Duration>,
        dry_run: bool,
    ) -> Result<SearchReport, ReconcileRefused> {
        let order = Order { since, dry_run };
        self.0.start(hook, order).map_err(refused)
    }

    fn report(&self, hook: &str) -> Option<SearchReport> {
        self.0.report(hook)
    }
}

fn refused(error: StartError) -> ReconcileRefused {
    match error {
        StartError::Running(report) => ReconcileRefused::Running(report),
        StartError::NoHook => ReconcileRefused::NoHook(error.to_string()),
        StartError::NotConfigured | StartError::Closed | StartError::Api(_) => {
            ReconcileRefused::NotPossible(error.to_string())
        }
    }
}
