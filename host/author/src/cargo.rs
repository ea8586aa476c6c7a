//! Handlers in Rust: cargo for wasm32-wasip2.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::exec::{self, Show};
use crate::place::{create_dir, place};
use crate::project::no_sources;
use crate::toolchain::{Missing, target_missing};
use landfall_config::env;

pub(crate) const TARGET: &str = "wasm32-wasip2";

/// What of a folder is built.
#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    /// Every library.
    All,
    /// These packages.
    Packages(&'a [&'a str]),
    /// The examples.
    Examples,
}

/// Builds the handlers of a cargo workspace below `dir` and copies the components to `out`. Returns what was written. `install` adds
/// the target with rustup if it is missing.
pub fn build_workspace(
    dir: &Path,
    out: &Path,
    what: What<'_>,
    install: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    ensure!(dir.join("Cargo.toml").is_file(), "{}", no_sources(dir));
    if let Some(missing) = target_missing(dir) {
        if install {
            missing.install()?;
        } else {
            bail!("{missing}");
        }
    }

    let built = build(dir, what)?;
    create_dir(out)?;
    built.iter().map(|file| copy(file, out)).collect()
}

/// The component files that cargo says it made.
pub(crate) fn build(dir: &Path, what: What<'_>) -> anyhow::Result<Vec<PathBuf>> {
    let mut command = Command::new(cargo());
    command.args([
        "build",
        "--release",
        "--target",
        TARGET,
        "--message-format=json-render-diagnostics",
    ]);
    match what {
        What::All => {}
        What::Packages(names) => {
            command.args(names.iter().flat_map(|name| ["--package", name]));
        }
        What::Examples => {
            command.arg("--examples");
        }
    }

    // A folder of its own: the outer cargo may hold the lock of the other.
    command.arg("--target-dir").arg(target_dir(dir)?);
    let ran = exec::run(command.current_dir(dir), Show::Errors).context("cargo does not start")?;
    ran.expect_success(dir, "cargo")?;

    let artifacts = ran
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok());
    let built: Vec<PathBuf> = artifacts.flat_map(components).collect();
    ensure!(
        !built.is_empty(),
        "{} builds no component: set crate-type = [\"cdylib\"] under [lib]",
        dir.display()
    );
    Ok(built)
}

/// The cargo that runs this process, or the one of the shell.
pub(crate) fn cargo() -> OsString {
    env::var("CARGO").map_or_else(|| "cargo".into(), Into::into)
}

fn target_dir(dir: &Path) -> anyhow::Result<PathBuf> {
    let dir = dir
        .canonicalize()
        .with_context(|| format!("{} cannot be found", dir.display()))?;
    Ok(match env::var("CARGO_TARGET_DIR") {
        Some(shared) => std::env::current_dir()?.join(shared).join("wasm"),
        None => dir.join("target"),
    })
}

fn components(artifact: serde_json::Value) -> Vec<PathBuf> {
    let files = artifact["filenames"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    files
        .iter()
        .filter_map(|file| file.as_str())
        .filter(|file| file.ends_with(".wasm"))
        .map(PathBuf::from)
        .collect()
}

fn copy(file: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    let name = file
        .file_name()
        .context("a file has a name")?
        .to_string_lossy()
        .replace('_', "-");
    let target = out.join(name);
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    place(&bytes, &target)?;
    Ok(target)
}

/// What a build of this package needs and this machine lacks.
pub(crate) fn missing(dir: &Path) -> Option<Missing> {
    if exec::version(Command::new(cargo()).arg("--version")).is_none() {
        return Some(Missing::without_command(
            dir,
            "Rust is missing: cargo does not start",
            "install it from https://rustup.rs",
        ));
    }
    target_missing(dir)
}
