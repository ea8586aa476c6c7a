//! `landfall test`: runs the cases of a handler's folder without a node.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use landfall_offline::{Folder, OfflineError, Override, Report, TestPlan};

use super::output::say;
use crate::offline;

/// A case failed.
const FAILED: u8 = 1;
/// The cases cannot be run.
const NOT_RUN: u8 = 2;

/// What to test.
#[derive(Debug, Args)]
pub(super) struct TestFlags {
    /// The handler's folder: NAME.toml, build/NAME.wasm and cases/.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Run only the case with this name. Can be repeated.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Set a value in the JSON body of each event: `/ref=refs/heads/main`. Can be repeated.
    #[arg(long, value_name = "/POINTER=VALUE", conflicts_with = "update")]
    set: Vec<Override>,
    /// Write what happened into `[expect]` of the cases that fail. Not together with `--set`, whose
    /// values are not in the cases.
    #[arg(long, conflicts_with = "set")]
    update: bool,
    /// Leave out the built-in cases of the hook's provider.
    #[arg(long)]
    no_provider_cases: bool,
    /// The hook file, if the folder has several TOML files.
    #[arg(long, value_name = "FILE")]
    hook: Option<PathBuf>,
    /// The component [default: the one in build/ that the hook file names].
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Write the results as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Exits with 0 if all cases passed, with 1 if one failed, with 2 if they cannot be run.
pub(super) async fn test(flags: TestFlags) -> anyhow::Result<ExitCode> {
    let as_json = flags.json;
    match run(flags).await {
        Ok(report) => {
            if as_json {
                say!("{}", report.to_json());
            } else {
                say!("{}", report.to_text());
            }
            Ok(if report.failed() == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FAILED)
            })
        }
        Err(error) => {
            eprintln!("landfall: {error}");
            Ok(ExitCode::from(NOT_RUN))
        }
    }
}

async fn run(flags: TestFlags) -> Result<Report, OfflineError> {
    let plan = TestPlan {
        folder: Folder::find(&flags.dir, flags.hook)?,
        component: flags.component,
        only: flags.case,
        overrides: flags.set,
        update: flags.update,
        no_provider_cases: flags.no_provider_cases,
    };
    let report = offline::run_cases(&plan).await?;

    if let Some(path) = flags.junit {
        let text = report.to_junit(&plan.hook());
        std::fs::write(&path, text).map_err(|error| OfflineError::Unwritable { path, error })?;
    }
    Ok(report)
}
