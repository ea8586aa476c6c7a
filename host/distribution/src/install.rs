//! Writes a component and its hook file into a plugins directory.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::DistributionError;
use super::fetched::Fetched;
use landfall_model::HookName;

/// The file of a component's signature: `NAME.wasm.minisig`.
pub fn signature_file(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// Writes `NAME.wasm`, its signature, and then `NAME.toml`. Each file appears whole. Until the hook file is there, a running node goes on
/// with the previous version: the old hook file pins another digest.
pub fn install(
    dir: &Path,
    name: &HookName,
    fetched: &Fetched,
    hook_file: &str,
) -> Result<(), DistributionError> {
    let component = dir.join(format!("{name}.wasm"));
    let signature = signature_file(&component);
    match &fetched.signature {
        Some(text) => place(&signature, text.as_bytes())?,
        None => remove(&signature)?,
    }

    place(&component, &fetched.bytes)?;
    place(&dir.join(format!("{name}.toml")), hook_file.as_bytes())
}

/// Writes a file beside its place and renames it. A file with the same content stays as it is.
fn place(path: &Path, bytes: &[u8]) -> Result<(), DistributionError> {
    if std::fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }

    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The node ignores hidden files.
    let partial = path.with_file_name(format!(".{name}.partial"));
    let written = write_synced(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|error| {
        std::fs::remove_file(&partial).ok();
        unwritable(path, error)
    })
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove(path: &Path) -> Result<(), DistributionError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, error)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, error: io::Error) -> DistributionError {
    DistributionError::File {
        path: path.to_owned(),
        act: "written",
        error,
    }
}
