//! The candidate of a hook, beside the handler that serves. All versions of the hook share one cell,
//! so that a candidate begins and ends at once for every attempt that starts afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::handler::Handler;
use landfall_candidate::{Pair, ShadowFindings, Tally, Version, is_chosen};
use landfall_model::recording::{Comparison, Verdict};
use landfall_model::{EventId, Outcome, ShadowReport, Trial, lock};

/// The candidate that is tried now, if there is one.
#[derive(Default)]
pub struct CandidateCell(ArcSwapOption<Candidate>);

/// A candidate that is tried.
pub struct Candidate {
    /// Runs its events.
    pub handler: Arc<Handler>,
    /// How it is tried.
    pub trial: Trial,
    id: u64,
    /// The minutes of the tally count from here, so that no step of the time of day moves them.
    begun: Instant,
    tally: Mutex<Tally>,
    shadow: Mutex<ShadowFindings>,
}

// === impl CandidateCell ===

impl CandidateCell {
    /// The candidate that is tried.
    pub fn get(&self) -> Option<Arc<Candidate>> {
        self.0.load_full()
    }

    /// Begins to try a candidate, or ends what is tried.
    pub fn set(&self, candidate: Option<Arc<Candidate>>) {
        self.0.store(candidate);
    }
}

// === impl Candidate ===

impl Candidate {
    /// A candidate of which nothing is counted yet.
    pub fn new(handler: Arc<Handler>, trial: Trial) -> Candidate {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Candidate {
            handler,
            trial,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            begun: Instant::now(),
            tally: Mutex::default(),
            shadow: Mutex::default(),
        }
    }

    /// Tells it from all other candidates of this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether this event runs on the candidate. It is the same for each attempt of the event.
    pub fn takes(&self, event: &EventId) -> bool {
        match &self.trial {
            Trial::Canary(rules) => is_chosen(event, rules.share),
            Trial::Shadow => false,
        }
    }

    /// Counts an attempt that has ended now.
    pub fn count(&self, version: Version, outcome: &Outcome, duration: Duration) {
        let is_failed = !matches!(outcome, Outcome::Done(_) | Outcome::Defer { .. });
        lock(&self.tally).add(version, is_failed, duration, self.age_ms());
    }

    /// Counts a successful attempt as failed, because its results could not be stored.
    pub fn take_back(&self, version: Version) {
        lock(&self.tally).take_back(version);
    }

    /// Adds a shadow run that has ended.
    pub fn add_shadow(&self, event: &EventId, comparison: &Comparison) -> Verdict {
        lock(&self.shadow).add(event, comparison)
    }

    /// An attempt was not repeated, because too many waited.
    pub fn drop_shadow(&self) {
        lock(&self.shadow).drop_one();
    }

    /// What shadow runs have found.
    pub fn shadow_report(&self) -> ShadowReport {
        lock(&self.shadow).report()
    }

    /// What was counted since the start of the trial.
    pub fn whole(&self) -> Pair {
        lock(&self.tally).whole().clone()
    }

    /// What was counted in the last minutes.
    pub fn recent(&self) -> Pair {
        lock(&self.tally).recent(self.age_ms())
    }

    fn age_ms(&self) -> i64 {
        i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}
