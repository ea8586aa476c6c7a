//! Which tool of a language is missing, and the one command that installs it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::project::{Language, Project};
use crate::rust_target::RustTarget;
use crate::{exec, node_packages};
use landfall_config::env;

/// The program that links a component. The toolchains of rustup have it.
const LINKER: &str = "wasm-component-ld";
/// The oldest Node.js that the tools of the SDK run on, as major and minor version.
const NODE_MIN: (u32, u32) = (20, 6);
/// The oldest Python, as major and minor version.
const PYTHON_MIN: (u32, u32) = (3, 11);
/// Prints the first package that the environment does not have or has an older copy of.
const PYTHON_PACKAGES: &str = include_str!("python_packages.py");

/// What a build needs and does not find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// What is missing, and why that is known.
    what: String,
    /// The command that installs it, for a shell. `None`: this machine has no tool that could.
    command: Option<String>,
    /// What to do without a command.
    advice: String,
    dir: PathBuf,
}

/// What a build of this folder needs and does not find: the first of all.
pub(crate) fn missing(project: &Project) -> anyhow::Result<Option<Missing>> {
    Ok(match project.language {
        Language::Rust => rust_missing(&project.dir)?,
        Language::TypeScript | Language::JavaScript => node_missing(&project.dir),
        Language::Python => python_missing(&project.dir),
    })
}

fn rust_missing(dir: &Path) -> anyhow::Result<Option<Missing>> {
    if exec::version(Command::new(exec::cargo()).arg("--version")).is_none() {
        return Ok(Some(Missing::without_command(
            dir,
            "Rust is missing: cargo does not start",
            "install it from https://rustup.rs",
        )));
    }
    Ok(target_missing(dir, RustTarget::of(dir)?))
}

/// The target for components or its linker, if rustc does not have it.
pub(crate) fn target_missing(dir: &Path, target: RustTarget) -> Option<Missing> {
    let rustc = env::var("RUSTC").unwrap_or_else(|| "rustc".into());
    let prints = ["target-libdir", "sysroot", "host-tuple"].map(|what| ["--print", what]);
    let asked = Command::new(&rustc)
        .args(prints.as_flattened())
        .args(["--target", target.triple()])
        .current_dir(dir)
        .output();
    let Ok(output) = asked else {
        return Some(Missing::without_command(
            dir,
            &format!("Rust is missing: {rustc} does not start"),
            "install it from https://rustup.rs",
        ));
    };

    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().map(str::trim);
    let [libraries, sysroot, host] = [(); 3].map(|()| lines.next().unwrap_or_default());
    if !output.status.success() || !Path::new(libraries).is_dir() {
        let what = format!("Rust has no target {target}");
        let command = format!("rustup target add {target}");
        return Some(Missing::new(dir, &what, &command));
    }

    // rustc looks for a linker here first, and then in PATH.
    let of_toolchain = Path::new(sysroot)
        .join("lib/rustlib")
        .join(host)
        .join("bin");
    let path = env::var("PATH").unwrap_or_default();
    let has_linker = std::iter::once(of_toolchain)
        .chain(std::env::split_paths(&path))
        .any(|bin| bin.join(LINKER).is_file());
    if has_linker {
        return None;
    }
    let what = format!("this Rust has no {LINKER}, which the toolchains of https://rustup.rs have");
    let command = format!("cargo install --locked {LINKER}");
    Some(Missing::new(dir, &what, &command))
}

fn node_missing(dir: &Path) -> Option<Missing> {
    let (major, minor) = NODE_MIN;
    let wanted = format!("install Node.js {major}.{minor} or newer from https://nodejs.org");
    let Some(version) = exec::version(Command::new("node").arg("--version")) else {
        return Some(Missing::without_command(
            dir,
            "Node.js is missing: node does not start",
            &wanted,
        ));
    };

    if major_and_minor(version.trim_start_matches('v')) < Some(NODE_MIN) {
        let what = format!("Node.js {version} is too old");
        return Some(Missing::without_command(dir, &what, &wanted));
    }
    let package = node_packages::missing(dir)?;
    let what = if dir.join("node_modules").is_dir() {
        format!("the package {package} is not installed")
    } else {
        "the packages of package.json are not installed".to_owned()
    };
    let has_lock = dir.join("package-lock.json").is_file();
    let command = if has_lock { "npm ci" } else { "npm install" };
    Some(Missing::new(dir, &what, command))
}

fn python_missing(dir: &Path) -> Option<Missing> {
    let mut python = Command::new(dir.join(".venv/bin/python"));
    let found = exec::version(python.args(["-P", "-c", PYTHON_PACKAGES]).current_dir(dir));
    // `-P`: the author's modules do not replace those of Python. An environment that does not start
    // lacks everything.
    let package = found.unwrap_or_else(|| "landfall-sdk".into());
    if package.is_empty() {
        return None;
    }
    if let Some((package, folder)) = package.split_once('\t') {
        return Some(outdated_copy(dir, package, folder));
    }

    let (major, minor) = PYTHON_MIN;
    let wanted = format!("install Python {major}.{minor} or newer from https://www.python.org");
    let Some(version) = exec::version(Command::new("python3").arg("--version")) else {
        return Some(Missing::without_command(
            dir,
            "Python is missing: python3 does not start",
            &wanted,
        ));
    };

    if python_version(&version) < Some(PYTHON_MIN) {
        let what = format!("{version} is too old");
        return Some(Missing::without_command(dir, &what, &wanted));
    }
    Some(Missing::new(
        dir,
        &format!("the folder's environment .venv has no {package}"),
        "python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt",
    ))
}

/// pip copies a package that is a folder. `folder` has changed since.
fn outdated_copy(dir: &Path, package: &str, folder: &str) -> Missing {
    let folder = folder.replace('\'', r"'\''");
    Missing::new(
        dir,
        &format!("the folder's environment .venv has an older copy of {package}"),
        &format!(
            ".venv/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall '{folder}'"
        ),
    )
}

/// Of `Python 3.11.7`.
fn python_version(text: &str) -> Option<(u32, u32)> {
    major_and_minor(text.strip_prefix("Python ")?)
}

/// Of `20.6.1`.
fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

// === impl Missing ===

impl Missing {
    fn new(dir: &Path, what: &str, command: &str) -> Missing {
        Missing {
            what: what.into(),
            command: Some(command.into()),
            advice: String::new(),
            dir: dir.into(),
        }
    }

    fn without_command(dir: &Path, what: &str, advice: &str) -> Missing {
        Missing {
            what: what.into(),
            command: None,
            advice: advice.into(),
            dir: dir.into(),
        }
    }

    /// Runs the command in the folder.
    pub(crate) fn install(&self) -> anyhow::Result<()> {
        let command = self
            .command
            .as_ref()
            .with_context(|| format!("{}: {}", self.what, self.advice))?;
        eprintln!("landfall: {}: running `{command}`", self.what);
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.dir);
        let ran = exec::run(&mut shell, exec::Show::All).context("sh does not start")?;
        ensure!(
            ran.status.success(),
            "`{command}` in {} failed ({}): see above",
            self.dir.display(),
            ran.status
        );
        Ok(())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, dir) = (&self.what, self.dir.display());
        match &self.command {
            Some(command) => write!(
                f,
                "{what}: run `{command}` in {dir}, or `landfall build --install`, which does that"
            ),
            None => write!(f, "{what}: {}", self.advice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(python_version("Python 3.9.2") < Some(PYTHON_MIN));
        assert!(python_version("Python 3.14.0rc1") > Some(PYTHON_MIN));
        assert_eq!(python_version("snake"), None);
        assert!(major_and_minor("20.5.1") < Some(NODE_MIN));
        assert!(major_and_minor("20.10.0") > Some(NODE_MIN));
    }
}
