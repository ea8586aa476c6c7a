//! One `landfall dev` in a folder: a second one would replace what the first one serves.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, bail};

/// Held while `landfall dev` runs. The system releases it when the process ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

// === impl FolderLock ===

impl FolderLock {
    /// Locks the folder of a handler. `served` is its `.landfall`.
    pub(crate) fn acquire(folder: &Path, served: &Path) -> anyhow::Result<FolderLock> {
        let path = served.join("dev.lock");
        let unusable = || format!("{} cannot be locked", path.display());
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = opened.with_context(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{}", taken(folder, holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
        }

        write_holder(&mut file).with_context(unusable)?;
        Ok(FolderLock { _file: file })
    }
}

/// `process` is the one that holds the lock.
fn taken(folder: &Path, process: Option<u32>) -> String {
    let folder = folder.display();
    match process {
        Some(id) => format!(
            "another `landfall dev` runs in {folder} (process {id}): use that one, or stop it with `q` in its terminal or `kill {id}`"
        ),
        None => format!(
            "another `landfall dev` runs in {folder}: use that one, or stop it with `q` in its terminal"
        ),
    }
}

/// The process that has written its id, if it runs.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let id: u32 = text.trim().parse().ok()?;
    let runs = Path::new("/proc").join(id.to_string()).exists();
    runs.then_some(id)
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let acquire = || FolderLock::acquire(Path::new("/mine"), dir.path());
        let lock = acquire().unwrap();
        let error = acquire().unwrap_err().to_string();
        let id = std::process::id();
        assert!(
            error.starts_with(&format!(
                "another `landfall dev` runs in /mine (process {id}): "
            )),
            "{error}"
        );
        std::fs::write(dir.path().join("dev.lock"), "").unwrap();
        let error = acquire().unwrap_err().to_string();
        assert!(error.contains("runs in /mine: use that one"), "{error}");
        drop(lock);
        // A process that another test has just forked has the file open until it executes.
        let is_free = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            acquire().is_ok()
        });
        assert!(is_free);
    }
}
