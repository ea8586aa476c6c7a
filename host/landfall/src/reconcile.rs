//! The search for missed deliveries, as the admin API starts it.

use std::sync::Arc;
use std::time::Duration;

use landfall_admin::{MissedDelivery, Reconcile, ReconcileRefused, SearchReport};
use landfall_reconcile::{Missed, Order, Reconciler, Report, StartError};

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
        self.0.start(hook, order).map(shown).map_err(refused)
    }

    fn report(&self, hook: &str) -> Option<SearchReport> {
        self.0.report(hook).map(shown)
    }
}

fn refused(error: StartError) -> ReconcileRefused {
    match error {
        StartError::Running(report) => ReconcileRefused::Running(Box::new(shown(*report))),
        StartError::NoHook => ReconcileRefused::NoHook(error.to_string()),
        StartError::NotConfigured | StartError::Closed | StartError::Api(_) => {
            ReconcileRefused::NotPossible(error.to_string())
        }
    }
}

fn shown(report: Report) -> SearchReport {
    SearchReport {
        hook: report.hook,
        provider: report.provider,
        running: report.running,
        dry_run: report.dry_run,
        started_at: report.started_at,
        ended_at: report.ended_at,
        since: report.since,
        until: report.until,
        pages: report.pages,
        listed: report.listed,
        missed: report.missed,
        accepted: report.accepted,
        known: report.known,
        skipped: report.skipped,
        waits_until: report.waits_until,
        more: report.more,
        error: report.error,
        deliveries: report.deliveries.into_iter().map(missed).collect(),
    }
}

fn missed(missed: Missed) -> MissedDelivery {
    MissedDelivery {
        id: missed.id,
        kind: missed.kind,
        at: missed.at,
        result: missed.result,
        event: missed.event,
    }
}
