//! Handlers in Rust: cargo for a target of components.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, bail, ensure};

use crate::exec::{self, Ran, Show};
use crate::place::{create_dir, place};
use crate::project::no_sources;
use crate::rust_target::RustTarget;
use crate::target_dir;
use crate::toolchain::target_missing;

/// How the bytes of a core module begin. A component has another version and layer.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// What the errors of crates say that need more than `wasm32-unknown-unknown` has: getrandom, uuid,
/// tokio, mio, and those that ask JavaScript.
const NEEDS_WASI: [&str; 5] = [
    "unknown-unknown targets are not supported",
    "on `wasm32-unknown-unknown`",
    "supported on wasm",
    "wasm target is unsupported",
    "__wbindgen",
];

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

/// Builds the handlers of a cargo workspace below `dir` and copies the components to `out`. Returns
/// what was written. `install` adds the target with rustup if it is missing.
pub fn build_workspace(
    dir: &Path,
    out: &Path,
    what: What<'_>,
    install: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    ensure!(dir.join("Cargo.toml").is_file(), "{}", no_sources(dir));
    let target = RustTarget::of(dir)?;
    if let Some(missing) = target_missing(dir, target) {
        if install {
            missing.install()?;
        } else {
            bail!("{missing}");
        }
    }

    let built = build(dir, what, target, &target_dir::of_workspace(dir)?)?;
    create_dir(out)?;
    built.iter().map(|file| copy(file, out)).collect()
}

/// The component files that cargo says it made in `target_dir`.
pub(crate) fn build(
    dir: &Path,
    what: What<'_>,
    target: RustTarget,
    target_dir: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut command = Command::new(exec::cargo());
    command
        .args(["build", "--release", "--target", target.triple()])
        .arg("--message-format=json-render-diagnostics")
        .arg("--target-dir")
        .arg(target_dir);
    match what {
        What::All => {}
        What::Packages(names) => {
            command.args(names.iter().flat_map(|name| ["--package", name]));
        }
        What::Examples => {
            command.arg("--examples");
        }
    }

    let ran = exec::run(command.current_dir(dir), Show::Errors).context("cargo does not start")?;
    expect_success(&ran, dir, target)?;

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

/// As `Ran::expect_success`. The error also says what to do about a target that is too small for a
/// crate.
fn expect_success(ran: &Ran, dir: &Path, target: RustTarget) -> anyhow::Result<()> {
    ran.expect_success(dir, "cargo")
        .map_err(|error| match advice(&ran.said, target) {
            Some(advice) => anyhow!("{error}; {advice}"),
            None => error,
        })
}

fn advice(said: &str, target: RustTarget) -> Option<&'static str> {
    if target == RustTarget::Wasip2 {
        return None;
    }
    if said.contains("initial memory too small") {
        return Some("double --initial-memory in .cargo/config.toml");
    }
    let needs_wasi = NEEDS_WASI.iter().any(|words| said.contains(words));
    needs_wasi.then_some(
        "a crate needs more than wasm32-unknown-unknown has: write target = \"wasm32-wasip2\" under [package.metadata.landfall] in Cargo.toml",
    )
}

/// The bytes of a component that cargo has built.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    ensure!(
        !bytes.starts_with(CORE_MODULE),
        "cargo linked a core module instead of a component: write linker = \"wasm-component-ld\" under [target.wasm32-unknown-unknown] in \
         .cargo/config.toml beside Cargo.toml, as `landfall new` does"
    );
    Ok(bytes)
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
    place(&read(file)?, &target)?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_need_wasi_are_noticed() {
        for (said, words) in [
            (
                "error: The wasm32-unknown-unknown targets are not supported by default; you may need to enable the \"wasm_js\"",
                Some("wasm32-wasip2"),
            ),
            (
                "error: module requires an import interface named `__wbindgen_placeholder__`",
                Some("wasm32-wasip2"),
            ),
            (
                "wasm-ld: error: initial memory too small, 1572864 bytes needed",
                Some("--initial-memory"),
            ),
            ("error[E0308]: mismatched types", None),
        ] {
            let found = advice(said, RustTarget::Unknown);
            assert_eq!(found.is_some(), words.is_some(), "{said}");
            assert!(
                words.is_none_or(|words| found.unwrap().contains(words)),
                "{said}"
            );
            assert_eq!(advice(said, RustTarget::Wasip2), None);
        }
    }
}
