//! The results of all cases, as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use landfall_model::printable;
use serde_json::{Value, json};

use crate::difference::Difference;
use crate::run::{Run, milliseconds};

/// The result of one case.
#[derive(Debug)]
pub struct CaseReport {
    /// The case's name.
    pub name: String,
    /// The case's file; `None` for the built-in cases of a provider.
    pub file: Option<String>,
    /// What differs. Empty: the case passed.
    pub differences: Vec<Difference>,
    /// The file was rewritten with the results.
    pub is_updated: bool,
    /// The run, of cases that run the handler.
    pub run: Option<Run>,
    /// The time of the case.
    pub duration: Duration,
}

/// The results of all cases.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which they ran.
    pub cases: Vec<CaseReport>,
    /// Why cases were left out, for people.
    pub notes: Vec<String>,
}

// === impl CaseReport ===

impl CaseReport {
    /// Whether nothing differs.
    pub fn is_passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// A line, and the differences below it.
    pub(crate) fn to_text(&self) -> String {
        let word = match (self.is_updated, self.is_passed()) {
            (true, _) => "updated",
            (false, true) => "ok",
            (false, false) => "FAILED",
        };
        let ms = milliseconds(self.duration);
        let mut text = format!("{word:<8}{} ({ms} ms)", self.name);
        for difference in &self.differences {
            write!(text, "\n  {}", difference.key).ok();
            for line in difference.text.lines() {
                write!(text, "\n    {line}").ok();
            }
        }

        // What the handler wrote tells most about a failure.
        let log = self.run.as_ref().map(Run::log_lines).unwrap_or_default();
        if !self.is_passed() && !log.is_empty() {
            text.push_str("\n  log of the handler");
            for line in log.iter().flat_map(|line| line.lines()) {
                write!(text, "\n    {line}").ok();
            }
        }
        let lines = text.lines().map(|line| printable(line.trim_end()));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn to_json(&self) -> Value {
        let differences = self.differences.iter().map(Difference::to_json);
        json!({
            "name": self.name,
            "file": self.file,
            "passed": self.is_passed(),
            "updated": self.is_updated,
            "ms": milliseconds(self.duration),
            "differences": differences.collect::<Vec<_>>(),
            "run": self.run.as_ref().map(Run::to_json),
        })
    }
}

// === impl Report ===

impl Report {
    /// How many cases passed or were updated.
    pub fn passed(&self) -> usize {
        let passed = self.cases.iter().filter(|case| case.is_passed());
        passed.count()
    }

    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.cases.len() - self.passed()
    }

    /// For people. Lines with `-` were expected, lines with `+` happened.
    pub fn to_text(&self) -> String {
        let mut blocks: Vec<String> = self.cases.iter().map(CaseReport::to_text).collect();
        blocks.extend(self.notes.iter().map(|note| format!("note    {note}")));
        let (passed, failed) = (self.passed(), self.failed());
        let legend = if failed == 0 {
            ""
        } else {
            " (- expected, + happened)"
        };
        blocks.push(format!("{passed} passed, {failed} failed{legend}"));
        blocks.join("\n")
    }

    /// One object.
    pub fn to_json(&self) -> Value {
        json!({
            "passed": self.passed(),
            "failed": self.failed(),
            "cases": self.cases.iter().map(CaseReport::to_json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}
