//! Runs the cases of a folder.

use std::path::PathBuf;
use std::time::Instant;

use crate::case::{Case, Expect, read_all};
use crate::compare::compare;
use crate::difference::Difference;
use crate::error::OfflineError;
use crate::folder::Folder;
use crate::hook::{OfflineEngine, OfflineHook, hook_name};
use crate::pointer::Override;
use crate::provider;
use crate::report::{CaseReport, Report};
use crate::run::run;
use crate::update::update;

/// What to test.
#[derive(Debug)]
pub struct TestPlan {
    /// The handler's folder.
    pub folder: Folder,
    /// The component; `None`: the one in `build/` that the hook file names.
    pub component: Option<PathBuf>,
    /// Only the cases with these names. Empty: all.
    pub only: Vec<String>,
    /// Values that replace some in the bodies of all events.
    pub overrides: Vec<Override>,
    /// Write the results into the files of failed cases.
    pub update: bool,
    /// Leave out the built-in cases of the hook's provider.
    pub no_provider_cases: bool,
}

// === impl TestPlan ===

impl TestPlan {
    /// The name of the hook.
    pub fn hook(&self) -> String {
        hook_name(&self.folder.hook_file)
    }

    /// Runs the cases one after the other, in the order of their names.
    pub async fn run(&self, engine: &OfflineEngine) -> Result<Report, OfflineError> {
        let cases = self.cases()?;
        let name = self.hook();
        let component = |spec: &landfall_model::HookSpec| match &self.component {
            Some(path) => Ok(path.clone()),
            None => self.folder.component(&spec.component),
        };
        let hook = engine
            .load(Some(&self.folder.hook_file), component, &name)
            .await?;

        let mut report = Report::default();
        for case in &cases {
            report.cases.push(self.case(engine, &hook, case).await?);
        }
        if !self.no_provider_cases && self.only.is_empty() {
            provider::run(&hook, &mut report);
        }
        if report.cases.is_empty() {
            return Err(OfflineError::Other(format!(
                "there are no cases in {}: write NAME.toml there, or make one of a real event with `landfall events save`",
                self.folder.cases().display()
            )));
        }
        Ok(report)
    }

    fn cases(&self) -> Result<Vec<Case>, OfflineError> {
        let dir = self.folder.cases();
        let all = read_all(&dir)?;
        let unknown = self
            .only
            .iter()
            .find(|name| !all.iter().any(|case| case.name == **name));
        if let Some(name) = unknown {
            let known: Vec<&str> = all.iter().map(|case| case.name.as_str()).collect();
            return Err(OfflineError::Other(format!(
                "--case {name}: there is no such case in {}: {}",
                dir.display(),
                known.join(", ")
            )));
        }

        let is_wanted = |case: &Case| self.only.is_empty() || self.only.contains(&case.name);
        let wanted: Vec<Case> = all.into_iter().filter(is_wanted).collect();
        let lacks = |case: &&Case| case.expect.is_none() && !self.update;
        if let Some(case) = wanted.iter().find(lacks) {
            return Err(OfflineError::Other(format!(
                "{}: [expect] is missing: write what you expect, or let `landfall test --update` write what happens",
                case.source.shown
            )));
        }
        Ok(wanted)
    }

    async fn case(
        &self,
        engine: &OfflineEngine,
        hook: &OfflineHook,
        case: &Case,
    ) -> Result<CaseReport, OfflineError> {
        let started = Instant::now();
        let run = run(engine, hook, case, &self.overrides, None).await?;
        let mut differences: Vec<Difference> = compare(case, &run);
        let is_empty = case.expect.as_ref().is_none_or(Expect::is_empty);
        // A call without an answer is for the author to answer: no result is worth writing.
        let is_answered = run.calls.iter().all(|call| !call.is_unanswered);
        let is_updated = self.update && is_answered && (is_empty || !differences.is_empty());
        if is_updated {
            update(case, &run)?;
            differences.clear();
        }
        Ok(CaseReport {
            name: case.name.clone(),
            file: Some(case.source.shown.clone()),
            differences,
            is_updated,
            run: Some(run),
            duration: started.elapsed(),
        })
    }
}
