//! What operators see of candidates, and how they decide.

use std::collections::BTreeMap;

use landfall_admin::{CandidateDecider, CandidateRefused, Deciding};
use landfall_candidate::{Counts, Decision};
use landfall_model::clock::from_ms;
use landfall_model::{CandidateDecision, CandidateReport, Trial, VersionRuns, lock};

use super::CandidateControl;
use super::phase::Phase;

/// The words of phases in which a hook has a candidate.
pub(crate) const PHASES: [&str; 8] = [
    "loading",
    "shadow",
    "canary",
    "promoted",
    "superseded",
    "rolled-back",
    "refused",
    "serving",
];
const NONE: &str = "none";

// === impl CandidateControl ===

impl CandidateControl {
    /// How the candidate of a hook stands. `None`: no hook has this name.
    pub(crate) fn report_of(&self, hook: &str) -> Option<CandidateReport> {
        let named = self.hooks.named(hook)?;
        let state = self.state(hook);
        let file = self.remembered.candidates.own_file(hook);
        let promoted = file.as_deref().and_then(|file| state.promoted_over(file));
        let mut report = CandidateReport {
            hook: hook.to_owned(),
            phase: NONE,
            serving: self.serving(hook),
            previous: promoted.map(|promoted| promoted.previous.clone()),
            decisions: state.decisions.iter().map(decision).collect(),
            detail: self
                .remembered
                .promotions
                .problem(hook)
                .or_else(|| self.not_served_yet(hook)),
            ..CandidateReport::default()
        };
        let Some(spec) = &named.spec.candidate else {
            return Some(report);
        };

        report.phase = "loading";
        report.component = Some(spec.component.clone());
        if let Trial::Canary(rules) = &spec.trial {
            report.share = Some(rules.share);
        }
        let Some(found) = self.remembered.candidates.found(hook) else {
            return Some(report);
        };
        let digest = found.digest();
        let phase = self.phase(hook, &found);
        report.phase = phase.word(&found);
        report.digest = digest.map(str::to_owned);
        match &phase {
            Phase::Tried(_) => self.add_trial(&mut report),
            phase => {
                let problem = phase.problem(&spec.component);
                report.detail = problem.or(report.detail);
            }
        }
        Some(report)
    }

    /// Adds what was counted of a candidate that is tried.
    fn add_trial(&self, report: &mut CandidateReport) {
        let hook = report.hook.as_str();
        let digest = report.digest.as_deref().unwrap_or_default();
        report.since = self.state(hook).since_ms(digest).map(rfc3339);
        let cell = self.remembered.candidates.cell_of(hook);
        let Some(candidate) = cell.and_then(|cell| cell.get()) else {
            return;
        };

        if candidate.trial == Trial::Shadow {
            report.shadow = Some(candidate.shadow_report());
            return;
        }
        let counted = lock(&self.counted).get(hook).cloned().unwrap_or_default();
        report.candidate_runs = runs(&counted.whole.candidate);
        report.serving_runs = runs(&counted.whole.serving);
        if let Some(waits) = lock(&self.waits).get(hook) {
            report.detail = Some(waits.clone());
        }
    }

    /// What is wrong with the candidate of a hook, for its alarm.
    pub(crate) fn problem(&self, hook: &str) -> Option<String> {
        if let Some(problem) = self.remembered.promotions.problem(hook) {
            return Some(problem);
        }
        let found = self.remembered.candidates.found(hook)?;
        self.phase(hook, &found).problem(&found.spec.component)
    }

    /// The phase of each hook with a candidate.
    pub(crate) fn phases(&self) -> BTreeMap<String, &'static str> {
        let hooks = self.hooks.names().into_iter();
        hooks
            .filter_map(|hook| {
                let report = self.report_of(&hook)?;
                (report.phase != NONE).then(|| (hook.to_string(), report.phase))
            })
            .collect()
    }
}

impl CandidateDecider for CandidateControl {
    fn report(&self, hook: &str) -> Option<CandidateReport> {
        self.report_of(hook)
    }

    fn promote<'a>(&'a self, hook: &'a str) -> Deciding<'a> {
        Box::pin(async move {
            CandidateControl::promote(self, hook).await?;
            self.until_served(hook).await;
            self.after(hook)
        })
    }

    fn roll_back<'a>(&'a self, hook: &'a str) -> Deciding<'a> {
        Box::pin(async move {
            CandidateControl::roll_back(self, hook).await?;
            self.until_served(hook).await;
            self.after(hook)
        })
    }
}

impl CandidateControl {
    /// The report after a decision.
    fn after(&self, hook: &str) -> Result<CandidateReport, CandidateRefused> {
        self.report_of(hook).ok_or(CandidateRefused::NoHook)
    }
}

fn runs(counts: &Counts) -> VersionRuns {
    VersionRuns {
        runs: counts.runs,
        failed: counts.failed,
        p99_ms: counts.p99().map(|p99| p99.as_secs_f64() * 1000.0),
    }
}

fn decision(decision: &Decision) -> CandidateDecision {
    CandidateDecision {
        at: rfc3339(decision.at_ms),
        decision: decision.decided.word().to_owned(),
        digest: decision.digest.clone(),
        by: decision.by.word().to_owned(),
        reason: decision.reason.clone(),
    }
}

fn rfc3339(ms: i64) -> String {
    humantime::format_rfc3339_millis(from_ms(ms)).to_string()
}
