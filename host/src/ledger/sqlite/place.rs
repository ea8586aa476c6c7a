//! The directory that a ledger lives in: one node at a time, and only on a file system that keeps its word.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock, statfs};

use crate::ledger::error::OpenError;

/// File systems across a network or in user space: locks, shared memory or syncs are not what SQLite needs them to be.
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

/// Held for as long as the ledger is open; released by the system whatever ends the process.
pub struct DirLock {
    _file: File,
}

/// Takes the directory.
pub fn lock(dir: &Path) -> Result<DirLock, OpenError> {
    let path = dir.join("lock");
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(|error| OpenError::Other(format!("{} cannot be opened: {error}", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(DirLock { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Other(format!(
            "{} belongs to another node that is running: give this one a data directory of its own (--data)",
            dir.display()
        ))),
        Err(error) => Err(OpenError::Other(format!("{} cannot be locked: {error}", path.display()))),
    }
}

/// Whether a ledger can be kept here.
pub fn check_file_system(dir: &Path) -> Result<(), OpenError> {
    let status =
        statfs(dir).map_err(|error| OpenError::Other(format!("{} cannot be looked at: {error}", dir.display())))?;
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
pub fn is_read_only(dir: &Path) -> bool {
    let open = OpenOptions::new().write(true).open(dir.join("lock"));
    open.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
}

/// Bytes that can still be written below the directory.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
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
        drop(first);
        assert!(lock(dir.path()).is_ok());
    }

    #[test]
    fn a_local_disk_will_do_and_a_network_will_not() {
        let dir = tempfile::tempdir().unwrap();
        check_file_system(dir.path()).unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
    }
}
