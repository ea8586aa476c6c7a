//! Puts finished files where a node may watch for them.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// Writes `bytes` to `target` under another name and renames it, so that a node that watches the
/// directory never sees half a file. A file that has these bytes already stays as it is.
pub(crate) fn place(bytes: &[u8], target: &Path) -> anyhow::Result<()> {
    if std::fs::read(target).is_ok_and(|present| present == bytes) {
        return Ok(());
    }

    let name = target
        .file_name()
        .context("a file has a name")?
        .to_string_lossy();
    let partial: PathBuf = target.with_file_name(format!(".{name}.partial"));
    let placed = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, target));
    placed.with_context(|| format!("{} cannot be written", target.display()))
}

/// Creates a directory with its parents.
pub(crate) fn create_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be created", dir.display()))
}
