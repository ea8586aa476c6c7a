//! Disk space that is reserved for a full disk. SQLite cannot update or delete without free space,
//! so the reserve file is removed then: running attempts can end and old data can be removed. While
//! the file is missing, no event is accepted.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};

use super::files::MODE;
use super::place;

/// The time between two tries to restore the reserve.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The reserve file.
pub(super) struct Reserve {
    path: PathBuf,
    dir: PathBuf,
    /// 0: no reserve is kept.
    bytes: u64,
    /// Free bytes that must be left when the file exists.
    beside: u64,
    is_there: bool,
    tried: Option<Instant>,
}

// === impl Reserve ===

impl Reserve {
    /// Creates the file, if there is space for it.
    pub(super) fn new(dir: &Path, bytes: u64, beside: u64) -> Reserve {
        let path = dir.join("reserve");
        let mut reserve = Reserve {
            path,
            dir: dir.into(),
            bytes,
            beside,
            is_there: false,
            tried: None,
        };
        if bytes == 0 {
            fs::remove_file(&reserve.path).ok();
        }
        reserve.restore();
        reserve
    }

    /// Whether the reserve exists, or none is configured.
    pub(super) fn is_there(&self) -> bool {
        self.is_there || self.bytes == 0
    }

    /// The data directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes the file. False: the reserve did not exist.
    pub(super) fn spend(&mut self) -> bool {
        let was_there = std::mem::take(&mut self.is_there);
        if was_there {
            tracing::error!(
                bytes = self.bytes,
                "the disk is full: the reserve is used, and no event is accepted"
            );
            self.tried = Some(Instant::now());
            fs::remove_file(&self.path).ok();
        }
        was_there
    }

    /// Creates the file again if there is space, at most once a second.
    pub(super) fn restore(&mut self) {
        if self.is_there() || self.tried.is_some_and(|at| at.elapsed() < TRY_EVERY) {
            return;
        }

        let is_first = self.tried.replace(Instant::now()).is_none();
        let has = fs::symlink_metadata(&self.path).map_or(0, |metadata| metadata.len());
        let free = place::free_bytes(&self.dir).unwrap_or(0);
        if has != self.bytes && free.saturating_add(has) <= self.bytes.saturating_add(self.beside) {
            if is_first {
                tracing::warn!(
                    bytes = self.bytes,
                    free,
                    "there is no space for the reserve: no event is accepted until there is"
                );
            }
            return;
        }

        match self.make() {
            Ok(()) => {
                self.is_there = true;
                if !is_first {
                    tracing::info!(
                        bytes = self.bytes,
                        "there is space again: the reserve is restored"
                    );
                }
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                fs::remove_file(&self.path).ok();
            }
            // The path is a link or a directory, or the file system refuses: more free space would
            // not help.
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "the reserve cannot be created: the node works without one");
                self.bytes = 0;
            }
        }
    }

    fn make(&self) -> io::Result<()> {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let mut open = OpenOptions::new();
        let file = open
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(flags)
            .open(&self.path)?;
        file.set_len(self.bytes)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => Ok(()),
            // The file system cannot reserve space: fill the file.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                io::copy(&mut io::Read::take(io::repeat(1), self.bytes), &mut &file).map(drop)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Removes the reserve, so that a node on a full disk can start. False: there is no reserve.
pub(super) fn give_up(dir: &Path) -> bool {
    let path = dir.join("reserve");
    let is_ours =
        fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0);
    is_ours && fs::remove_file(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_reserve_is_restored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let mut reserve = Reserve::new(dir.path(), 1 << 20, 0);
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
        assert!(reserve.is_there() && reserve.spend() && !reserve.spend() && !reserve.is_there());
        assert!(!path.exists());
        reserve.restore();
        assert!(!reserve.is_there(), "not at every call");
        reserve.tried = Some(Instant::now() - TRY_EVERY);
        reserve.restore();
        assert!(reserve.is_there() && path.exists());
        let mut vast = Reserve::new(dir.path(), 1 << 20, u64::MAX / 2);
        assert!(vast.is_there(), "it was there already");
        vast.spend();
        vast.tried = Some(Instant::now() - TRY_EVERY);
        vast.restore();
        assert!(!vast.is_there(), "no room beside it");
        let mut none = Reserve::new(dir.path(), 0, 0);
        assert!(none.is_there() && !none.spend() && !path.exists());
    }

    #[test]
    fn links_and_folders_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "another file").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("reserve")).unwrap();
        assert!(Reserve::new(dir.path(), 4, 0).is_there());
        assert_eq!(fs::read_to_string(&other).unwrap(), "another file");
        assert!(!give_up(dir.path()));
        fs::remove_file(dir.path().join("reserve")).unwrap();
        fs::create_dir(dir.path().join("reserve")).unwrap();
        assert!(Reserve::new(dir.path(), 4, 0).is_there() && dir.path().join("reserve").is_dir());
    }
}
