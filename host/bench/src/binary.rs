//! The binary that is measured, and the bundled handlers: built with cargo unless the flags name
//! them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The workspace that this binary was built from.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Builds `landfall` in release mode, as README does. Returns its path.
pub(crate) fn build_landfall() -> anyhow::Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["build", "--release", "--package", "landfall"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(WORKSPACE)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo does not start: name a binary with --landfall")?;
    ensure!(
        output.status.success(),
        "cargo could not build landfall: see above, or name a binary with --landfall"
    );

    let artifacts = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    artifacts
        .filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_name().is_some_and(|name| name == "landfall"))
        .context("cargo named no binary `landfall`")
}

/// Builds a bundled handler with `landfall build`. Returns the path of the component.
pub(crate) fn build_handler(landfall: &Path, name: &str, out: &Path) -> anyhow::Result<PathBuf> {
    let sources = Path::new(WORKSPACE).join("plugins").join(name);
    ensure!(
        sources.is_dir(),
        "the sources of `{name}` are not in {}: name a component with --component",
        sources.display()
    );

    let status = Command::new(landfall)
        .arg("build")
        .arg(&sources)
        .arg("--out")
        .arg(out)
        .stdout(std::process::Stdio::null())
        .status()
        .with_context(|| format!("{} does not start", landfall.display()))?;
    ensure!(
        status.success(),
        "`landfall build {}` failed",
        sources.display()
    );

    Ok(out.join(format!("{name}.wasm")))
}
