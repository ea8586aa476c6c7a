//! Machine code that is read from files: those that this host wrote and sealed, and those that came
//! with its image.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use wasmtime::component::Component;

use crate::snapshot::report::{self, InitReport, ReportFile};
use crate::trust::{self, Owner, SealKey};

/// The machine code of a component, and what became of its `init`, if it has one.
pub(crate) struct Cached {
    pub(crate) code: Component,
    pub(crate) init: Option<Arc<InitReport>>,
}

/// Notes the time of the last use of a file. If that fails, only the order of eviction suffers.
pub(super) fn mark_used(file: &File, now: SystemTime) {
    file.set_modified(now).ok();
}

/// Reads a file that this host has sealed, in a directory that the caller has checked. `now` is
/// noted as the time of the last use.
pub(super) fn read_sealed(
    engine: &wasmtime::Engine,
    key: &SealKey,
    path: &Path,
    has_report: bool,
    now: SystemTime,
) -> anyhow::Result<Cached> {
    let report = if has_report {
        let (_, report) = key.read_sealed(&report::path_of(path))?;
        Some(ReportFile::parse(&report)?)
    } else {
        None
    };
    let (file, code) = key.read_sealed(path)?;
    let init = report.map(|report| report.of_code(&code)).transpose()?;
    mark_used(&file, now);
    let code = deserialize(engine, &file, &code)?;
    let init = init.map(Arc::new);
    Ok(Cached { code, init })
}

/// Reads a file of the image. It belongs to root, and no process in the container can write it.
pub(super) fn read_bundled(
    engine: &wasmtime::Engine,
    path: &Path,
    has_report: bool,
) -> anyhow::Result<Cached> {
    trust::check_dir(path.parent().unwrap_or(Path::new("/")), Owner::OwnOrRoot)?;
    let report = if has_report {
        let mut report = Vec::new();
        trust::open_file(&report::path_of(path), Owner::OwnOrRoot)?.read_to_end(&mut report)?;
        Some(ReportFile::parse(&report)?)
    } else {
        None
    };
    let mut file = trust::open_file(path, Owner::OwnOrRoot)?;
    let mut code = Vec::new();
    file.read_to_end(&mut code)?;
    let init = report.map(|report| report.of_code(&code)).transpose()?;
    let code = deserialize(engine, &file, &code)?;
    let init = init.map(Arc::new);
    Ok(Cached { code, init })
}

/// Maps the file that was checked, by its descriptor: its path may lead to another file by now.
fn deserialize(engine: &wasmtime::Engine, file: &File, code: &[u8]) -> anyhow::Result<Component> {
    let mapped = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // SAFETY: our own compiler wrote these bytes. The caller has checked the seal, or that only the
    // builder of the image can have written the file. No other user can write the open file.
    #[allow(unsafe_code)]
    let loaded = unsafe {
        if mapped.exists() {
            Component::deserialize_file(engine, &mapped)
        } else {
            Component::deserialize(engine, code)
        }
    };
    loaded.map_err(|error| anyhow::anyhow!("{error:#}"))
}
