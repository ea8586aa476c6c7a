//! `landfall build`: builds a handler's folder in any language, or every handler of a cargo
//! workspace.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use landfall_author::{Project, What, build_workspace};
use serde_json::json;

use super::check::{print_receipt, receipt};
use super::output::say;
use super::served;
use super::target::AdminFlags;
use crate::app;

/// Where the components of a cargo workspace go by default.
const OUT_DEFAULT: &str = "plugins";

/// What to build.
#[derive(Debug, Args)]
pub(super) struct BuildFlags {
    /// The folder of a handler, or of the Cargo.toml of a workspace.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The directory for the .wasm files [default: `build` in the folder of a handler, `plugins`
    /// for a cargo workspace].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run the commands that install what is missing: `rustup target add`, `npm ci`, `pip install`
    /// into the folder's environment.
    #[arg(long)]
    install: bool,
    /// Build the examples instead of the libraries.
    #[arg(long)]
    examples: bool,
    /// If a node serves the directory of `--out`: how many seconds to wait until it runs the new
    /// version. 0: do not wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
    /// JSON, one object a component.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminFlags,
}

/// Builds, and prints what a node would load.
pub(super) async fn build(flags: &BuildFlags) -> anyhow::Result<ExitCode> {
    match Project::find(&flags.dir)? {
        Some(project) if !flags.examples => one(&project, flags).await,
        _ => all(flags).await,
    }
}

/// Every handler of a cargo workspace, or of a crate without a hook file.
async fn all(flags: &BuildFlags) -> anyhow::Result<ExitCode> {
    let what = if flags.examples {
        What::Examples
    } else {
        What::All
    };

    if !flags.examples && !flags.dir.join("Cargo.toml").is_file() {
        // The error says what the folder lacks.
        Project::open(&flags.dir)?;
    }

    let out = flags.out.as_deref().unwrap_or(Path::new(OUT_DEFAULT));
    let built = build_workspace(&flags.dir, out, what, flags.install)?;
    let limit = Duration::from_secs(flags.wait);
    served::wait(&flags.admin, out, &built, limit, flags.json, None).await
}

/// A handler's folder.
async fn one(project: &Project, flags: &BuildFlags) -> anyhow::Result<ExitCode> {
    let built = landfall_author::build(project, flags.install)?;
    let obstacle = match built.inspected.init {
        Some(_) => app::snapshot_obstacle(&std::fs::read(&built.path)?),
        None => None,
    };
    if !flags.json {
        print_receipt(&built.inspected)?;
        if let Some(obstacle) = &obstacle {
            say!(
                "warning  its init will run at the start of each event: there is no snapshot, because {obstacle}"
            );
        }
    }

    let (path, out) = match &flags.out {
        None => (built.path.clone(), built.path.parent()),
        Some(out) => (copy(&built.path, out)?, Some(out.as_path())),
    };
    let out = out.context("a component is in a folder")?;
    let mut receipt = receipt(&built.inspected)?;
    if let Some(target) = built.target {
        receipt["target"] = json!(target.triple());
    }
    if let Some(obstacle) = obstacle {
        receipt["init"]["snapshot"] = json!(false);
        receipt["init"]["no_snapshot_because"] = json!(obstacle);
    }
    let limit = Duration::from_secs(if flags.out.is_some() { flags.wait } else { 0 });
    let files = [path];
    if !flags.json {
        if let Some(target) = built.target {
            say!("target   {}", target.about());
        }
        say!("built    in {:.1} s", built.took.as_secs_f64());
    }
    served::wait(&flags.admin, out, &files, limit, flags.json, Some(&receipt)).await
}

fn copy(component: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    ensure!(
        !out.is_file(),
        "--out {} is a file: name a directory",
        out.display()
    );
    landfall_author::copy_component(component, out)
}
