//! `landfall check` and `landfall inspect`: what would happen, without serving.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::NodeFlags;
use crate::app::{self, HookState, HookStatus};
use crate::config::Config;
use crate::telemetry;

/// Loads everything as `serve` would and prints how each hook stands.
pub async fn check(flags: NodeFlags) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(flags.into())?;
    anyhow::ensure!(config.plugins.is_dir(), "plugins = {} is not a folder", config.plugins.display());
    let scratch = tempfile::tempdir().context("no place for what is compiled")?;
    config.data = scratch.path().into();
    telemetry::start(config.log_format, "off")?;
    let statuses = app::check(&config).await?.statuses();
    statuses.iter().for_each(print);
    let bad = statuses.iter().filter(|status| status.state != HookState::Serving).count();
    println!("{} of {} hooks would serve", statuses.len() - bad, statuses.len());
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(status: &HookStatus) {
    let state = match status.state {
        HookState::Serving => "serving",
        HookState::Stale => "stale",
        HookState::Closed => "closed",
        HookState::Unavailable => "unavailable",
    };
    println!("{:<16} {:<24} {state}", status.name, status.path.as_deref().unwrap_or("-"));
    if let Some(problem) = &status.problem {
        println!("    {problem}");
    }
    if let Some(wants) = &status.wants {
        println!("    its manifest asks for:\n{}", indented(wants));
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("        {line}")).collect::<Vec<_>>().join("\n")
}

/// Prints what a component's bytes say.
pub fn inspect(file: &Path) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let inspected = app::inspect(&file.display().to_string(), &bytes)?;
    println!("digest   sha256:{}", inspected.digest);
    println!("size     {} bytes", inspected.size);
    inspected.exports.iter().for_each(|name| println!("exports  {name}"));
    inspected.imports.iter().for_each(|name| println!("imports  {name}"));
    if let Some(manifest) = &inspected.manifest {
        println!("manifest\n{}", indented(manifest));
    }
    Ok(ExitCode::SUCCESS)
}
