//! The data directory: one node at a time, on a file system whose locks and syncs SQLite can rely
//! on.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock, statfs};

use super::files::{self, MODE};
use crate::error::OpenError;

/// File systems over a network or in user space. SQLite cannot rely on their locks, shared memory
/// or syncs.
const UNFIT: [(u32, &str); 11] = [
    (0x6969, "NFS"),
    (0x6573_5546, "FUSE"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x4750_4653, "GPFS"),
    (0x0bd0_0bd0, "Lustre"),
];
const TMPFS: u32 = 0x0102_1994;

/// Held while the ledger is open. The system releases it when the process ends.
pub(super) struct DirLock {
    _dir: File,
    _file: File,
}

/// Locks the directory itself, so that removing a file does not remove the lock; and its lock file,
/// which older versions check.
pub(super) fn lock(dir: &Path) -> Result<DirLock, OpenError> {
    let path = dir.join("lock");
    let opened = File::open(dir).map_err(|error| OpenError::from_io(dir, "be opened", &error))?;
    lock_one(&opened, dir)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(&path);
    let file = file.map_err(|error| OpenError::from_io(&path, "be opened", &error))?;
    lock_one(&file, dir)?;
    Ok(DirLock {
        _dir: opened,
        _file: file,
    })
}

fn lock_one(file: &File, dir: &Path) -> Result<(), OpenError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Other(format!(
            "{} belongs to another node that is running: give this one a data directory of its own (--data)",
            dir.display()
        ))),
        Err(error) => Err(OpenError::Other(format!(
            "{} cannot be locked: {error}",
            dir.display()
        ))),
    }
}

/// Removes the permissions of other users from the directory and the files of the ledger, if this
/// user owns them.
pub(super) fn make_private(dir: &Path) {
    let database = dir.join("ledger.db");
    let names =
        ["", "-wal", "-shm", "-synced", "-created"].map(|ending| files::beside(&database, ending));
    let damaged = files::aside_names(&database);
    for path in [dir.to_owned(), dir.join("lock"), dir.join("reserve")]
        .into_iter()
        .chain(names)
        .chain(damaged)
    {
        let Ok(Some(found)) = files::found(&path) else {
            continue;
        };
        let is_open = found.mode() & 0o077 != 0;
        if !is_open || found.uid() != rustix::process::geteuid().as_raw() {
            continue;
        }
        match fs::set_permissions(&path, Permissions::from_mode(found.mode() & 0o700)) {
            Ok(()) => {
                tracing::info!(path = %path.display(), "other users can no longer read this part of the data directory")
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "other users can read a part of the data directory")
            }
        }
    }
}

/// Refuses a file system on which a ledger can lose events.
pub(super) fn check_file_system(dir: &Path) -> Result<(), OpenError> {
    let status = statfs(dir).map_err(|error| {
        OpenError::Other(format!("{} cannot be examined: {error}", dir.display()))
    })?;
    let kind = status.f_type as u32;
    if let Some((_, name)) = UNFIT.iter().find(|(unfit, _)| *unfit == kind) {
        return Err(OpenError::Other(format!(
            "{} is on {name}, where a ledger can lose what was acknowledged: use a local disk (--data)",
            dir.display()
        )));
    }
    if kind == TMPFS {
        tracing::warn!(data = %dir.display(), "the data directory is in memory: a restart of the machine loses the ledger");
    }
    Ok(())
}

/// Whether the file system takes no writes at all.
pub(super) fn is_read_only(dir: &Path) -> bool {
    let open = OpenOptions::new().write(true).open(dir.join("lock"));
    open.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
}

/// Free bytes of the directory's file system.
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let status = rustix::fs::statvfs(dir)?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        let why = lock(dir.path()).err().unwrap();
        assert!(why.to_string().contains("belongs to another node"), "{why}");
        // Removing the file does not remove the lock.
        fs::remove_file(dir.path().join("lock")).unwrap();
        assert!(lock(dir.path()).is_err());
        drop(first);
        assert!(lock(dir.path()).is_ok());
    }

    #[test]
    fn local_disks_are_accepted() {
        let dir = tempfile::tempdir().unwrap();
        check_file_system(dir.path()).unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
    }
}
