//! Builds the component of a handler's folder, and checks it as a node would when it loads it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::cargo::{self, What};
use crate::exec::{self, Show, Stop};
use crate::place::{create_dir, place};
use crate::project::{Language, Project};
use crate::python::{self, Ahead, NextBuild};
use crate::rust_target::RustTarget;
use crate::{target_dir, toolchain};
use landfall_config::Manifest;
use landfall_engine::{CAPABILITIES, Inspected, inspect};

/// A component that was built and that a node would load.
#[derive(Debug)]
pub struct Built {
    /// The file: `build/NAME.wasm`.
    pub path: PathBuf,
    /// What its bytes say.
    pub inspected: Inspected,
    /// How long the tools took.
    pub took: Duration,
    /// What cargo has built it for. `None`: another tool has.
    pub target: Option<RustTarget>,
}

/// How a build begins. Only in Python the three differ.
#[derive(Debug)]
pub enum Start {
    /// It does everything itself.
    Alone,
    /// As `Alone`. The next build begins at the same time.
    WithNext(NextBuild),
    /// It goes on with what was begun before the sources were saved.
    GoOn(Ahead),
}

/// Builds the folder. `install` runs the commands that install what is missing; without it, the
/// first one that is missing is an error.
pub fn build(project: &Project, install: bool) -> anyhow::Result<Built> {
    build_with(project, install, Start::Alone)
}

fn build_with(project: &Project, install: bool, start: Start) -> anyhow::Result<Built> {
    project.ensure_same_name()?;
    prepare(project, install)?;
    let began = Instant::now();
    let path = project.component();
    let mut target = None;
    match project.language {
        Language::Rust => target = Some(rust(project, &path)?),
        Language::TypeScript | Language::JavaScript => {
            let mut npm = Command::new("npm");
            run(
                project,
                npm.args(["run", "--silent", "build"]),
                "npm run build",
            )?;
        }
        Language::Python => build_python(project, start)?,
    }

    let bytes =
        std::fs::read(&path).with_context(|| format!("the build wrote no {}", path.display()))?;
    let inspected = checked(&path, &bytes)?;
    Ok(Built {
        path,
        inspected,
        took: began.elapsed(),
        target,
    })
}

/// As `build`, with tools that another thread can stop.
pub fn build_until(
    project: &Project,
    install: bool,
    start: Start,
    stop: &Stop,
) -> anyhow::Result<Built> {
    stop.scope(|| build_with(project, install, start))
}

/// Copies a component into another directory, which may be that of a node.
pub fn copy_component(component: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    create_dir(out)?;
    let target = out.join(component.file_name().context("a file has a name")?);
    let bytes = std::fs::read(component)
        .with_context(|| format!("{} cannot be read", component.display()))?;
    place(&bytes, &target)?;
    Ok(target)
}

/// Each missing tool may hide the next one.
fn prepare(project: &Project, install: bool) -> anyhow::Result<()> {
    let mut last = None;
    while let Some(missing) = toolchain::missing(project)? {
        if !install {
            bail!("{missing}");
        }
        ensure!(last.as_ref() != Some(&missing), "{missing}");
        missing.install()?;
        last = Some(missing);
    }
    Ok(())
}

fn rust(project: &Project, path: &Path) -> anyhow::Result<RustTarget> {
    let target = RustTarget::of(&project.dir)?;
    let target_dir = target_dir::of_handler(&project.dir, &project.name)?;
    let built = cargo::build(&project.dir, What::All, target, &target_dir)?;
    let wanted = project.name.replace('-', "_");
    let is_wanted = |file: &&PathBuf| file.file_stem().is_some_and(|stem| *stem == *wanted);
    let file = built.iter().find(is_wanted).with_context(|| {
        format!("cargo built no {wanted}.wasm: does [lib] in Cargo.toml have another name?")
    })?;
    let bytes = cargo::read(file)?;
    create_dir(path.parent().expect("a component is in a folder"))?;
    place(&bytes, path)?;
    Ok(target)
}

fn build_python(project: &Project, start: Start) -> anyhow::Result<()> {
    let words = "python -m landfall_sdk.build";
    let went_on = match start {
        Start::Alone => None,
        Start::WithNext(next) => {
            // The tools are there by now.
            next.begin(project);
            None
        }
        Start::GoOn(ahead) => ahead
            .go_on()
            .with_context(|| format!("`{words}` does not go on"))?,
    };
    match went_on {
        Some(ran) => ran.expect_success(&project.dir, &format!("`{words}`")),
        None => run(project, &mut python::build(project), words),
    }
}

fn run(project: &Project, command: &mut Command, words: &str) -> anyhow::Result<()> {
    let ran = exec::run(command.current_dir(&project.dir), Show::All)
        .with_context(|| format!("`{words}` does not start"))?;
    ran.expect_success(&project.dir, &format!("`{words}`"))
}

/// What loading would refuse is an error.
fn checked(path: &Path, bytes: &[u8]) -> anyhow::Result<Inspected> {
    let inspected = inspect(&path.display().to_string(), bytes)
        .context("the build is done, and a node would refuse its component")?;
    if let Some(text) = &inspected.manifest {
        Manifest::parse("manifest", text, CAPABILITIES)
            .context("the build is done, and a node would refuse the manifest of its component")?;
    }
    Ok(inspected)
}
