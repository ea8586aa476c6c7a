//! `landfall verify`: runs request vectors and ownership checks with the verifier of the node.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;

use super::output::say;
use crate::app::{self, Report, VectorError};

/// What to run.
#[derive(Debug, Args)]
pub struct VerifyFlags {
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
pub fn verify(flags: &VerifyFlags) -> anyhow::Result<ExitCode> {
    ensure!(
        flags.vectors.is_some() || flags.challenges.is_some(),
        "nothing to run: name a file with --vectors or --challenges"
    );
    let packs = app::packs(flags.providers.as_deref())?;
    let mut all = Report::default();
    let mut add = |path: &Option<PathBuf>,
                   run: &dyn Fn(&str) -> Result<Report, VectorError>|
     -> anyhow::Result<()> {
        let Some(path) = path else { return Ok(()) };
        let report =
            run(&read(path)?).map_err(|why| anyhow::anyhow!("{}: {why}", path.display()))?;
        all.passed += report.passed;
        all.failures.extend(report.failures);
        Ok(())
    };
    add(&flags.vectors, &|text| app::run_vectors(text, &packs))?;
    add(&flags.challenges, &|text| app::run_challenges(text, &packs))?;
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

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
