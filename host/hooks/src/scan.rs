//! Scans the plugins directory: which hook files and components are there, and which of them are
//! still changing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file::{self, FileContent, FileError, Stamp};
use super::listing::{self, FILES_MAX, InvalidFiles};

/// How long a file must stay unchanged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Debounce {
    /// A file that is unchanged for this long is read.
    pub(crate) settle: Duration,
    /// A file that is missing for this long is gone. Before that, it may be on its way to be
    /// replaced.
    pub(crate) gone: Duration,
}

/// Scans one directory again and again.
#[derive(Debug)]
pub(crate) struct Scanner {
    dir: PathBuf,
    seen: BTreeMap<String, Seen>,
    has_scanned: bool,
    debounce: Debounce,
}

/// A file as the last scan found it.
#[derive(Debug, Clone)]
struct Seen {
    stamp: Stamp,
    /// When this stamp was first seen.
    since: Instant,
    /// When a scan first missed the file.
    missed: Option<Instant>,
    /// `None` while the file is changing.
    content: Option<FileContent>,
}

/// The result of one scan.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Files that have stopped changing, by name.
    pub(crate) files: BTreeMap<String, FileContent>,
    /// Files that are changing, or missing for a moment. What serves under their names stays until
    /// a later scan.
    pub(crate) unsettled: BTreeSet<String>,
    /// Links to nothing.
    pub(crate) dangling: Vec<String>,
    /// Entries that look like a component or a hook file and are not read, and why.
    pub(crate) invalid_files: InvalidFiles,
}

// === impl Snapshot ===

impl Snapshot {
    /// Whether the file is there or may be replaced soon.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.unsettled.contains(name)
    }
}

// === impl Scanner ===

impl Scanner {
    pub(crate) fn new(dir: PathBuf, debounce: Debounce) -> Scanner {
        Scanner {
            dir,
            seen: BTreeMap::new(),
            has_scanned: false,
            debounce,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Scans once. A file is read when two scans that are far enough apart find the same stamp; the
    /// first scan reads every file. A `thorough` scan also reads files whose stamp has not changed.
    /// Blocks.
    pub(crate) fn scan(&mut self, thorough: bool) -> io::Result<Snapshot> {
        let dir = File::open(&self.dir)?;
        let (names, invalid_files) = listing::names(&self.dir)?;
        let mut snapshot = Snapshot {
            invalid_files,
            ..Snapshot::default()
        };

        let mut seen = BTreeMap::new();
        for name in self.limit(names) {
            match file::open(&dir, &name) {
                Ok((stamp, file)) => {
                    let file = self.see(&name, stamp, file, thorough);
                    match &file.content {
                        Some(content) => drop(snapshot.files.insert(name.clone(), content.clone())),
                        None => drop(snapshot.unsettled.insert(name.clone())),
                    }
                    seen.insert(name, file);
                }
                // The entry was removed after the listing.
                Err(FileError::NotFound) if !exists(&self.dir, &name) => {}
                Err(FileError::NotFound) => snapshot.dangling.push(name),
                Err(error) => {
                    let error = absolute_link(&self.dir, &name).unwrap_or(error);
                    snapshot.files.insert(name, Err(error));
                }
            }
        }

        self.keep_missing(&mut seen, &mut snapshot);
        self.seen = seen;
        self.has_scanned = true;
        Ok(snapshot)
    }

    /// Reads the file if it has been unchanged for long enough.
    fn see(&mut self, name: &str, stamp: Stamp, file: File, thorough: bool) -> Seen {
        let before = self
            .seen
            .remove(name)
            .filter(|before| before.stamp == stamp);
        let since = before
            .as_ref()
            .map_or_else(Instant::now, |before| before.since);
        let is_settled =
            !self.has_scanned || (before.is_some() && since.elapsed() >= self.debounce.settle);

        let known = before
            .and_then(|before| before.content)
            .filter(|_| !thorough);
        let content = is_settled.then(|| known.unwrap_or_else(|| file::read(file, name, &stamp)));
        Seen {
            stamp,
            since,
            missed: None,
            content,
        }
    }

    /// Files that are missing for a short time stay in the snapshot as unsettled.
    fn keep_missing(&mut self, seen: &mut BTreeMap<String, Seen>, snapshot: &mut Snapshot) {
        for (name, before) in std::mem::take(&mut self.seen) {
            let missed = before.missed.unwrap_or_else(Instant::now);
            let may_return = before.missed.is_none() || missed.elapsed() < self.debounce.gone;
            let is_there = seen.contains_key(&name) || snapshot.files.contains_key(&name);
            if may_return && !is_there {
                snapshot.unsettled.insert(name.clone());
                let missing = Seen {
                    missed: Some(missed),
                    content: None,
                    ..before
                };
                seen.insert(name, missing);
            }
        }
    }

    /// Drops names above the limit. Names that are new since the last scan go first.
    fn limit(&self, mut names: Vec<String>) -> Vec<String> {
        if names.len() > FILES_MAX {
            tracing::error!(
                files = names.len(),
                max = FILES_MAX,
                "too many files in the plugins directory: the newest are left out"
            );
            names.sort_by_key(|name| !self.seen.contains_key(name));
            names.truncate(FILES_MAX);
        }
        names
    }
}

fn exists(dir: &Path, name: &str) -> bool {
    dir.join(name).symlink_metadata().is_ok()
}

/// The error of a link that leads to a file of the directory by an absolute path.
fn absolute_link(dir: &Path, name: &str) -> Option<FileError> {
    let target = std::fs::read_link(dir.join(name)).ok()?;
    let dir = dir.canonicalize().ok()?;
    let is_inside = target.is_absolute() && target.canonicalize().ok()?.starts_with(dir);
    is_inside.then_some(FileError::AbsoluteLink { target })
}

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;

    use super::*;

    const AT_ONCE: Debounce = Debounce {
        settle: Duration::ZERO,
        gone: Duration::ZERO,
    };

    fn names_of(snapshot: &Snapshot) -> Vec<(&str, bool)> {
        snapshot
            .files
            .iter()
            .map(|(name, content)| (name.as_str(), content.is_ok()))
            .collect()
    }

    #[test]
    fn files_count_when_they_are_stable() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.toml"), "1").unwrap();
        let mut scanner = Scanner::new(dir.path().into(), AT_ONCE);
        assert_eq!(names_of(&scanner.scan(false).unwrap()), [("a.toml", true)]);
        std::fs::write(dir.path().join("b.wasm"), "half").unwrap();
        let snapshot = scanner.scan(false).unwrap();
        assert!(snapshot.unsettled.contains("b.wasm") && names_of(&snapshot) == [("a.toml", true)]);
        std::fs::write(dir.path().join("b.wasm"), "half and whole").unwrap();
        assert!(!scanner.scan(false).unwrap().unsettled.is_empty());
        let snapshot = scanner.scan(false).unwrap();
        assert!(snapshot.unsettled.is_empty());
        assert_eq!(
            &*snapshot.files["b.wasm"].as_ref().unwrap().bytes,
            b"half and whole"
        );
    }

    #[test]
    fn missing_twice_means_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        std::fs::write(&path, "1").unwrap();
        let mut scanner = Scanner::new(dir.path().into(), AT_ONCE);
        scanner.scan(false).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            Vec::from_iter(scanner.scan(false).unwrap().unsettled),
            ["a.wasm"]
        );
        let snapshot = scanner.scan(false).unwrap();
        assert!(snapshot.unsettled.is_empty() && snapshot.files.is_empty());
    }

    #[test]
    fn files_not_read_are_named() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &[u8]| dir.path().join(std::ffi::OsStr::from_bytes(name));
        for name in [
            &b"X.WASM"[..],
            b"y.Toml",
            b"\xff.wasm",
            b"README.md",
            b"hook.json",
            b"good.toml",
        ] {
            std::fs::write(at(name), "").unwrap();
        }
        for (folder, file) in [
            ("sub", "a.wasm"),
            ("secrets", "token"),
            ("providers", "acme.toml"),
            (".git", "a.toml"),
        ] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(
            dir.path().join("good.toml"),
            dir.path().join("absolute.toml"),
        )
        .unwrap();
        let snapshot = Scanner::new(dir.path().into(), AT_ONCE)
            .scan(false)
            .unwrap();
        let mut invalid_files = snapshot.invalid_files.clone();
        invalid_files.sort();
        let names: Vec<&str> = invalid_files
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            names,
            ["X.WASM", "hook.json", "sub", "y.Toml", "\u{fffd}.wasm"]
        );
        assert!(
            invalid_files[0].1.contains("rename it to x.wasm")
                && invalid_files[2].1.contains("move them up"),
            "{invalid_files:?}"
        );
        assert!(
            invalid_files[1].1.contains("hook files are TOML"),
            "{invalid_files:?}"
        );
        let why = snapshot.files["absolute.toml"]
            .as_ref()
            .unwrap_err()
            .to_string();
        assert!(why.contains("make it relative with `ln -sr`"), "{why}");
    }

    #[test]
    fn quick_scans_settle_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let debounce = Debounce {
            settle: Duration::from_secs(3600),
            gone: Duration::from_secs(3600),
        };
        let mut scanner = Scanner::new(dir.path().into(), debounce);
        std::fs::write(dir.path().join("old.toml"), "1").unwrap();
        assert_eq!(
            names_of(&scanner.scan(false).unwrap()),
            [("old.toml", true)]
        );
        std::fs::write(dir.path().join("new.toml"), "1").unwrap();
        std::fs::remove_file(dir.path().join("old.toml")).unwrap();
        for _ in 0..3 {
            let snapshot = scanner.scan(false).unwrap();
            assert!(snapshot.files.is_empty());
            assert_eq!(Vec::from_iter(snapshot.unsettled), ["new.toml", "old.toml"]);
        }
    }

    #[test]
    fn hook_files_have_a_size_limit() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("good.toml", 1 << 20),
            ("large.toml", (1 << 20) + 1),
            ("fits.wasm", (1 << 20) + 1),
        ] {
            std::fs::write(dir.path().join(name), vec![b'#'; bytes]).unwrap();
        }
        let snapshot = Scanner::new(dir.path().into(), AT_ONCE)
            .scan(false)
            .unwrap();
        assert_eq!(
            names_of(&snapshot),
            [
                ("fits.wasm", true),
                ("good.toml", true),
                ("large.toml", false)
            ]
        );
    }

    #[test]
    fn outward_links_and_pipes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap()
        };
        std::fs::create_dir(dir.path().join("..2024")).unwrap();
        std::fs::write(dir.path().join("..2024/in.toml"), "x").unwrap();
        link("..2024", "..data");
        link("..data/in.toml", "in.toml");
        link("/etc/hostname", "out.toml");
        link("missing", "gone.toml");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("pipe.toml"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        std::fs::create_dir(dir.path().join("folder.wasm")).unwrap();
        let snapshot = Scanner::new(dir.path().into(), AT_ONCE)
            .scan(false)
            .unwrap();
        assert_eq!(
            names_of(&snapshot),
            [
                ("folder.wasm", false),
                ("in.toml", true),
                ("out.toml", false),
                ("pipe.toml", false)
            ]
        );
        assert_eq!(snapshot.dangling, ["gone.toml"]);
    }
}
