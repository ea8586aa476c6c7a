//! `landfall verify`: runs request vectors and ownership checks with the verifier of the node.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;

use super::output::say;
use super::providers::named_packs;
use crate::app::{self, Report, VectorError};

/// What to run.
#[derive(Debug, Args)]
pub(super) struct VerifyFlags {
    /// A file of request vectors; docs/VECTORS.md describes the format.
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// A file of ownership checks and their answers.
    #[arg(long, value_name = "FILE")]
    challenges: Option<PathBuf>,
    /// A directory of provider packs of your own, such as plugins/providers.
    #[arg(long, value_name = "DIR")]
    providers: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the differences, then the numbers of passed and failed vectors.
pub(super) fn verify(flags: &VerifyFlags) -> anyhow::Result<ExitCode> {
    ensure!(
        flags.vectors.is_some() || flags.challenges.is_some(),
        "nothing to run: name a file with --vectors or --challenges"
    );
    let packs = named_packs(flags.providers.as_deref())?;
    let mut reports = Vec::new();
    if let Some(path) = &flags.vectors {
        reports.push(named(path, app::run_vectors(&read(path)?, &packs))?);
    }

    if let Some(path) = &flags.challenges {
        reports.push(named(path, app::run_challenges(&read(path)?, &packs))?);
    }

    let mut all = Report::default();
    for report in reports {
        all.passed += report.passed;
        all.failures.extend(report.failures);
    }

    if flags.json {
        say!(
            "{}",
            serde_json::json!({ "passed": all.passed, "failed": all.failures.len(), "failures": all.failures })
        );
    } else {
        all.failures.iter().for_each(|failure| say!("{failure}"));
        say!("{} passed, {} failed", all.passed, all.failures.len());
    }

    Ok(if all.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Adds the path to an error.
fn named(path: &Path, report: Result<Report, VectorError>) -> anyhow::Result<Report> {
    report.map_err(|why| anyhow::anyhow!("{}: {why}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
