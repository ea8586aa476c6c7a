//! `landfall build`: cargo for wasm32-wasip2, with the target added through rustup where it is
//! missing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use landfall_config::env;

const TARGET: &str = "wasm32-wasip2";

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

/// Builds handlers below `dir` and copies the components to `out`. Returns what was written.
pub fn build(dir: &Path, out: &Path, what: What<'_>) -> anyhow::Result<Vec<PathBuf>> {
    ensure!(
        dir.join("Cargo.toml").is_file(),
        "{} has no Cargo.toml: name the folder of a handler",
        dir.display()
    );
    add_target(dir)?;
    let built = cargo_build(dir, what)?;
    ensure!(
        !built.is_empty(),
        "{} builds no component: set crate-type = [\"cdylib\"] under [lib]",
        dir.display()
    );
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be created", out.display()))?;
    built.iter().map(|file| place(file, out)).collect()
}

fn cargo() -> OsString {
    env::var("CARGO").map_or_else(|| "cargo".into(), Into::into)
}

/// Asks rustc whether the target's libraries are there, and rustup to fetch them if not.
fn add_target(dir: &Path) -> anyhow::Result<()> {
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(dir)
        .output();
    let output = asked.context("rustc does not start: install Rust from https://rustup.rs")?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && libraries.is_dir() {
        return Ok(());
    }

    eprintln!("adding the target {TARGET} with rustup");
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(dir)
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!(
            "`rustup target add {TARGET}` failed ({status}): run it by hand and see what it says"
        ),
        Err(error) => bail!(
            "the target {TARGET} is missing and rustup does not start ({error}): install it by hand"
        ),
    }
}

/// The component files that cargo says it made.
fn cargo_build(dir: &Path, what: What<'_>) -> anyhow::Result<Vec<PathBuf>> {
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
    let output = command
        .current_dir(dir)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    ensure!(
        output.status.success(),
        "cargo could not build {}: see above",
        dir.display()
    );
    let artifacts = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok());
    Ok(artifacts.flat_map(components).collect())
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

/// Written beside and renamed: a node that watches `out` never sees half a file.
fn place(file: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    let name = file
        .file_name()
        .context("a file has a name")?
        .to_string_lossy()
        .replace('_', "-");
    let target = out.join(&name);
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    if std::fs::read(&target).is_ok_and(|present| present == bytes) {
        return Ok(target);
    }

    let partial = out.join(format!(".{name}.partial"));
    let placed = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, &target));
    placed.with_context(|| format!("{} cannot be written", target.display()))?;
    Ok(target)
}
