//! What a search for missed deliveries has done so far, for the operator.

use serde::Serialize;
use utoipa::ToSchema;

/// Deliveries that a report names. The counts are of all.
const SHOWN_MAX: usize = 100;

/// One search. Times are in RFC 3339.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
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

// === impl SearchReport ===

impl SearchReport {
    /// Counts a missed delivery, and names it if it is one of the first.
    pub fn add(&mut self, missed: MissedDelivery) {
        self.missed += 1;
        match missed.result {
            MissedDelivery::ACCEPTED => self.accepted += 1,
            MissedDelivery::SKIPPED => self.skipped += 1,
            _ => {}
        }
        if self.deliveries.len() < SHOWN_MAX {
            self.deliveries.push(missed);
        }
    }
}

// === impl MissedDelivery ===

impl MissedDelivery {
    /// The result of a delivery that was stored.
    pub const ACCEPTED: &str = "accepted";
    /// The result of a delivery that can never be stored.
    pub const SKIPPED: &str = "skipped";
    /// The result of a delivery that the next search tries again.
    pub const FAILED: &str = "failed";
    /// The result of a delivery in a dry run.
    pub const MISSED: &str = "missed";
}
