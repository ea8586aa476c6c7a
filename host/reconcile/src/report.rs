//! The report of a run: how it begins, and the times in it.

use super::listing::Window;
use landfall_model::clock::from_ms;
use landfall_model::{ReconcileSource, SearchReport};

/// The report of a run that begins.
pub(crate) fn begin(
    hook: &str,
    source: &ReconcileSource,
    dry_run: bool,
    now_ms: i64,
) -> SearchReport {
    SearchReport {
        hook: hook.to_owned(),
        provider: source.provider(),
        running: true,
        dry_run,
        started_at: time(now_ms),
        ..SearchReport::default()
    }
}

/// Says between which times the run lists deliveries.
pub(crate) fn set_window(report: &mut SearchReport, window: Window) {
    report.since = time(window.since_ms);
    report.until = time(window.until_ms);
}

/// A time in RFC 3339.
pub(crate) fn time(ms: i64) -> String {
    humantime::format_rfc3339_seconds(from_ms(ms)).to_string()
}
