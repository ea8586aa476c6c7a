//! Runs recorded attempts on another component, and compares. Nothing that the component does
//! leaves the run.

mod allowed;
mod entry;
mod published;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use landfall_engine::Handler;
use landfall_flow::{Flow, Verdict};
use landfall_model::recording::{RecordedRun, Tolerance, compare};
use serde_json::Value;

use crate::error::OfflineError;
use crate::hook::OfflineEngine;

pub use allowed::{Allowed, UnknownDifference};
use entry::Entry;
pub use report::TryReport;

const FILTERED: &str = "[filter] of the hook file keeps the event from running";

/// What to try.
#[derive(Debug)]
pub struct TryPlan {
    /// The component.
    pub component: PathBuf,
    /// The name of the hook whose attempts are run.
    pub hook: String,
    /// The hook file, whose grants apply. `None`: nothing is granted.
    pub hook_file: Option<PathBuf>,
    /// Differences that are meant.
    pub allowed: Vec<Allowed>,
}

/// A component that runs recorded attempts.
pub struct Trial {
    handler: Arc<Handler>,
    flow: Flow,
    deadline: Duration,
    allowed: Vec<Allowed>,
    report: TryReport,
}

// === impl TryPlan ===

impl TryPlan {
    /// Loads the component.
    pub async fn load(self, engine: &OfflineEngine) -> Result<Trial, OfflineError> {
        let component = self.component.clone();
        let hook = engine
            .load_candidate(self.hook_file.as_deref(), component, &self.hook)
            .await?;
        let handler = engine.recorded_handler(&hook).await?;
        let digest = handler.component().digest.clone();
        let shown = self.component.display().to_string();
        Ok(Trial {
            deadline: hook.deadline(),
            flow: hook.flow,
            handler,
            allowed: self.allowed,
            report: TryReport::new(&self.hook, &shown, &digest),
        })
    }
}

// === impl Trial ===

impl Trial {
    /// Runs one recorded attempt, as the admin API shows it.
    pub async fn run(&mut self, shown: &Value) {
        let entry = match Entry::read(shown) {
            Ok(entry) => entry,
            Err(why) => return self.report.add_not_run(why),
        };
        // A replay skips the filter, here as in a node.
        let is_filtered = matches!(self.flow.filter(&entry.event), Verdict::Filtered(_));
        if is_filtered && !entry.is_replay() {
            return self.report.add_not_run(FILTERED);
        }

        // A run on a cut recording proves nothing, and may wait for an answer that was cut.
        let run = if entry.recording.is_whole() {
            self.handler
                .run_recorded(&entry.event, entry.recording.clone(), self.deadline)
                .await
        } else {
            RecordedRun::default()
        };
        let compared = compare(&entry.recording, &run, &Tolerance::default());
        let is_masked = entry.recording.masked_values > 0;
        self.report.add(shown, compared, is_masked, &self.allowed);
    }

    /// What the runs have shown.
    pub fn into_report(self) -> TryReport {
        self.report
    }
}
