//! What a run has done so far, for the operator.

use super::listing::Window;
use landfall_model::ReconcileSource;
use landfall_model::clock::from_ms;

/// Deliveries that a report names. The counts are of all.
const SHOWN_MAX: usize = 100;

/// One run. Times are in RFC 3339.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The hook.
    pub hook: String,
    /// The provider as hook files name it.
    pub provider: &'static str,
    /// Whether the run goes on.
    pub running: bool,
    /// Whether the run only looks.
    pub dry_run: bool,
    /// When the run began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Deliveries from this time on.
    pub since: String,
    /// Deliveries up to this time.
    pub until: String,
    /// Pages of the list that were read.
    pub pages: u64,
    /// Entries of these pages.
    pub listed: u64,
    /// Deliveries that this hook has missed. Without a dry run, they are `accepted`, `skipped`, or
    /// left to the next run.
    pub missed: u64,
    /// Stored as new events.
    pub accepted: u64,
    /// Not missed: the ledger knew them, or an earlier run had handled them.
    pub known: u64,
    /// Not stored, because it can never be: the log says why.
    pub skipped: u64,
    /// Until when the run waits for the API's rate limit.
    pub waits_until: Option<String>,
    /// The run has reached its limits: the next one goes on.
    pub more: bool,
    /// Why the run ended before it had seen everything.
    pub error: Option<String>,
    /// The first missed deliveries.
    pub deliveries: Vec<Missed>,
}

/// A missed delivery.
#[derive(Debug, Clone)]
pub struct Missed {
    /// The provider's id.
    pub id: String,
    /// The type of the event.
    pub kind: String,
    /// When the provider sent or made it, in RFC 3339.
    pub at: String,
    /// `missed` in a dry run, otherwise `accepted`, `skipped` or `failed`.
    pub result: &'static str,
    /// The stored event.
    pub event: Option<String>,
}

// === impl Report ===

impl Report {
    pub(crate) fn new(hook: &str, source: &ReconcileSource, dry_run: bool, now_ms: i64) -> Report {
        Report {
            hook: hook.to_owned(),
            provider: source.provider(),
            running: true,
            dry_run,
            started_at: time(now_ms),
            ..Report::default()
        }
    }

    pub(crate) fn look_at(&mut self, window: Window) {
        self.since = time(window.since_ms);
        self.until = time(window.until_ms);
    }

    pub(crate) fn add(&mut self, missed: Missed) {
        self.missed += 1;
        match missed.result {
            ACCEPTED => self.accepted += 1,
            SKIPPED => self.skipped += 1,
            _ => {}
        }
        if self.deliveries.len() < SHOWN_MAX {
            self.deliveries.push(missed);
        }
    }
}

/// The result of a delivery that was stored.
pub(crate) const ACCEPTED: &str = "accepted";
/// The result of a delivery that can never be stored.
pub(crate) const SKIPPED: &str = "skipped";
/// The result of a delivery that the next run tries again.
pub(crate) const FAILED: &str = "failed";
/// The result of a delivery in a dry run.
pub(crate) const MISSED: &str = "missed";

/// A time in RFC 3339.
pub(crate) fn time(ms: i64) -> String {
    humantime::format_rfc3339_seconds(from_ms(ms)).to_string()
}
