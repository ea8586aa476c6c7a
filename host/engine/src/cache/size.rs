//! The size of the directory of compiled components: the least recently used ones are removed when
//! it is larger than its limit.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::snapshot::report;
use crate::trust::{self, Owner, seal_path};

/// The cache uses at most this fraction of its file system, even if its limit is higher.
const FILE_SYSTEM_SHARE: u64 = 4;

/// The content of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// How many compiled components there are.
    pub components: usize,
    /// The bytes of all files.
    pub bytes: u64,
    /// The most bytes that stay in the cache.
    pub max_size: u64,
}

/// Keeps the directory within its limit.
pub(super) struct SizeLimit {
    max_size: u64,
    evictions: AtomicU64,
}

/// A file of the cache, and when it was last used.
struct Entry {
    path: PathBuf,
    /// With those of the report beside it.
    bytes: u64,
    used: SystemTime,
}

// === impl SizeLimit ===

impl SizeLimit {
    /// `max_size`: in bytes.
    pub(super) fn new(max_size: u64) -> SizeLimit {
        SizeLimit {
            max_size,
            evictions: AtomicU64::new(0),
        }
    }

    /// How many files were removed because of the limit since the start.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Removes the least recently used files until the rest is within the limit. `kept` is never
    /// removed.
    pub(super) fn evict(&self, dir: &Path, kept: Option<&Path>) {
        let bound = bound(dir, self.max_size);
        let Ok(mut entries) = entries(dir) else {
            return;
        };
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.sort_by_key(|entry| entry.used);
        for entry in entries {
            if bytes <= bound {
                return;
            }
            if kept != Some(&*entry.path) && self.remove(&entry) {
                bytes -= entry.bytes;
            }
        }

        if bytes > bound {
            tracing::warn!(
                bytes,
                bound,
                "one compiled component is larger than the cache: raise cache.max_size"
            );
        }
    }

    fn remove(&self, entry: &Entry) -> bool {
        let path = entry.path.display();
        if let Err(error) = fs::remove_file(&entry.path) {
            tracing::warn!(%path, %error, "a compiled component cannot be removed");
            return false;
        }
        for path in beside(&entry.path) {
            fs::remove_file(path).ok();
        }
        self.evictions.fetch_add(1, Ordering::Relaxed);
        tracing::info!(%path, bytes = entry.bytes, "a compiled component is removed: cache.max_size");
        true
    }
}

/// The content of the cache in this directory. An error says why the directory would not be used.
pub fn cache_use(dir: &Path, max_size: u64) -> io::Result<CacheUse> {
    match trust::check_dir(dir, Owner::Own) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(CacheUse {
                components: 0,
                bytes: 0,
                max_size,
            });
        }
        checked => checked?,
    }
    let entries = entries(dir)?;
    let bytes = entries.iter().map(|entry| entry.bytes).sum();
    let others = entries
        .iter()
        .filter(|entry| is_seal(&entry.path) || report::code_of(&entry.path).is_some());
    Ok(CacheUse {
        components: entries.len() - others.count(),
        bytes,
        max_size: bound(dir, max_size),
    })
}

/// The effective limit, which is lower on a small disk.
fn bound(dir: &Path, max_size: u64) -> u64 {
    match rustix::fs::statvfs(dir) {
        Ok(disk) => max_size.min(disk.f_blocks.saturating_mul(disk.f_frsize) / FILE_SYSTEM_SHARE),
        Err(_) => max_size,
    }
}

/// The compiled components, files of compilers that were killed, and reports and seals whose file
/// is gone.
fn entries(dir: &Path) -> io::Result<Vec<Entry>> {
    let listed = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    let (seals, files): (Vec<PathBuf>, Vec<PathBuf>) = listed
        .collect::<io::Result<Vec<_>>>()?
        .into_iter()
        .partition(|path| is_seal(path));
    let sealed: HashSet<PathBuf> = files.iter().map(|path| seal_path(path)).collect();
    let orphans = seals.into_iter().filter(|seal| !sealed.contains(seal));
    let own = files
        .iter()
        .filter(|path| report::code_of(path).is_none_or(|code| !code.exists()));

    let mut entries = Vec::new();
    for path in own.cloned().chain(orphans) {
        // The file may have been removed since the listing.
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        entries.push(Entry {
            bytes: meta.len() + beside(&path).iter().map(|path| size(path)).sum::<u64>(),
            path,
            used: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        });
    }
    Ok(entries)
}

fn is_seal(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "seal")
}

/// The files that belong to an entry: its seal, its report, and the seal of that. A seal whose file
/// is gone has none.
fn beside(path: &Path) -> Vec<PathBuf> {
    if is_seal(path) {
        return Vec::new();
    }
    let report = report::path_of(path);
    vec![seal_path(path), seal_path(&report), report]
}

/// The length of a file. 0 if there is none.
fn size(path: &Path) -> u64 {
    path.symlink_metadata().map_or(0, |meta| meta.len())
}

#[cfg(test)]
mod tests {
    use std::fs::{DirBuilder, File};
    use std::os::unix::fs::DirBuilderExt;
    use std::time::Duration;

    use super::*;
    use crate::trust::SealKey;
    use landfall_model::Clock;

    /// A directory of compiled components, and a key beside it.
    struct Files {
        _dir: tempfile::TempDir,
        compiled: PathBuf,
        key: SealKey,
    }

    fn files() -> Files {
        let dir = tempfile::tempdir().unwrap();
        let compiled = dir.path().join("compiled");
        DirBuilder::new().mode(0o700).create(&compiled).unwrap();
        let key = SealKey::open(&dir.path().join("compiled.key")).unwrap();
        Files {
            _dir: dir,
            compiled,
            key,
        }
    }

    fn put(files: &Files, name: &str, age_s: u64) -> PathBuf {
        let path = files.compiled.join(format!("{name}.cwasm"));
        fs::write(&path, [0; 100]).unwrap();
        files.key.seal_file(&path).unwrap();
        File::open(&path)
            .unwrap()
            .set_modified(Clock::System.now() - Duration::from_secs(age_s))
            .unwrap();
        path
    }

    #[test]
    fn oldest_files_are_evicted_first() {
        let (files, limit) = (files(), SizeLimit::new(300));
        let [old, newer, newest] = [("old", 300), ("newer", 200), ("newest", 100)]
            .map(|(name, age)| put(&files, name, age));
        limit.evict(&files.compiled, Some(&newest));
        assert!(!old.exists() && !seal_path(&old).exists() && newer.exists() && newest.exists());
        assert_eq!(
            cache_use(&files.compiled, 300).unwrap(),
            CacheUse {
                components: 2,
                bytes: 264,
                max_size: 300
            }
        );
    }

    #[test]
    fn new_components_are_not_evicted() {
        let (files, limit) = (files(), SizeLimit::new(50));
        let [only, other] =
            [("only", 300), ("other", 100)].map(|(name, age)| put(&files, name, age));
        limit.evict(&files.compiled, Some(&only));
        assert!(only.exists() && !other.exists());
    }

    #[test]
    fn reports_count_with_their_code() {
        let (files, limit) = (files(), SizeLimit::new(250));
        let code = put(&files, "kept", 100);
        let (report, orphan) = (
            report::path_of(&code),
            files.compiled.join("gone-init.json"),
        );
        fs::write(&report, [0; 50]).unwrap();
        fs::write(&orphan, [0; 200]).unwrap();
        files.key.seal_file(&orphan).unwrap();
        let long_ago = Clock::System.now() - Duration::from_secs(300);
        File::open(&orphan).unwrap().set_modified(long_ago).unwrap();
        let used = || {
            let used = cache_use(&files.compiled, 250).unwrap();
            (used.components, used.bytes)
        };
        assert_eq!(used(), (1, 414), "seals have 32 bytes each");

        limit.evict(&files.compiled, None);
        assert!(!orphan.exists() && !seal_path(&orphan).exists());
        assert!(code.exists() && report.exists());
        assert_eq!(used(), (1, 182));
    }

    #[test]
    fn seals_without_files_are_removed() {
        let (files, limit) = (files(), SizeLimit::new(140));
        let gone = put(&files, "gone", 0);
        fs::remove_file(&gone).unwrap();
        let long_ago = Clock::System.now() - Duration::from_secs(300);
        let seal = seal_path(&gone);
        File::open(&seal).unwrap().set_modified(long_ago).unwrap();
        let kept = put(&files, "kept", 0);
        let used = cache_use(&files.compiled, 140).unwrap();
        assert_eq!((used.components, used.bytes), (1, 164));

        limit.evict(&files.compiled, None);
        assert!(!seal.exists() && kept.exists() && seal_path(&kept).exists());
    }

    #[test]
    fn files_go_with_their_code() {
        let (files, limit) = (files(), SizeLimit::new(1000));
        let path = put(&files, "a", 0);
        let report = report::path_of(&path);
        fs::write(&report, "{}").unwrap();
        files.key.seal_file(&report).unwrap();

        assert_eq!(cache_use(&files.compiled, 1000).unwrap().components, 1);
        assert!(limit.remove(&entries(&files.compiled).unwrap()[0]));
        assert_eq!(fs::read_dir(&files.compiled).unwrap().count(), 0);
    }
}
