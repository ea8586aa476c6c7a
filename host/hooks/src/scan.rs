//! Reads the plugins directory: which hook files and components are there, and have they stopped changing?

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::beneath;

const FILES_MAX: usize = 4096;
const STRAYS_MAX: usize = 100;
/// The directory of the operator's own packs.
const PROVIDERS: &str = "providers";
const SUBDIRECTORY: &str = "is a directory with components or hook files in it, and only files directly in the plugins directory are \
                            read: move them up";
const BYTES_MAX: u64 = 64 << 20;
/// Of a hook file.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// One regular file, read whole.
#[derive(Debug, Clone)]
pub struct Content {
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// SHA-256 of them.
    pub digest: [u8; 32],
}

/// What tells, without reading, that a file is another one than before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// A file as it was seen at the last look.
#[derive(Debug, Clone)]
struct Seen {
    stamp: Stamp,
    /// When this stamp was seen first.
    since: Instant,
    /// When a look missed it first.
    missed: Option<Instant>,
    /// None while it is changing.
    content: Option<Result<Content, String>>,
}

/// How long a file must stay as it is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Unchanged for this long: it counts.
    pub settle: Duration,
    /// Missing for this long: it is gone, and not on its way back.
    pub gone: Duration,
}

/// The directory over time.
#[derive(Debug)]
pub struct Scanner {
    dir: PathBuf,
    seen: BTreeMap<String, Seen>,
    has_looked: bool,
    patience: Patience,
}

/// Components that came with the binary; they do not change.
#[derive(Debug)]
pub struct Bundled {
    dir: Option<PathBuf>,
    read: BTreeMap<String, Option<Result<Content, String>>>,
}

/// Entries of the directory that are not read, and why.
type Strays = Vec<(String, String)>;

/// One look at the directory.
#[derive(Debug, Default)]
pub struct Look {
    /// Settled files by name; those that cannot be read say why.
    pub files: BTreeMap<String, Result<Content, String>>,
    /// Files still changing, or missing and perhaps on their way back: look again soon. What serves under their names
    /// stays.
    pub unsettled: BTreeSet<String>,
    /// Links to nothing.
    pub dangling: Vec<String>,
    /// Entries that look like a component or a hook file and are not read, and why.
    pub strays: Strays,
}

// === impl Look ===

impl Look {
    /// It is there, or may be on its way back.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.unsettled.contains(name)
    }
}

// === impl Content ===

impl Content {
    /// With their digest.
    pub fn of(bytes: Vec<u8>) -> Content {
        Content {
            digest: Sha256::digest(&bytes).into(),
            bytes: bytes.into(),
        }
    }
}

// === impl Scanner ===

impl Scanner {
    pub fn new(dir: PathBuf, patience: Patience) -> Scanner {
        Scanner {
            dir,
            seen: BTreeMap::new(),
            has_looked: false,
            patience,
        }
    }

    /// Where it looks.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Looks once. A file counts when looks that lie far enough apart found it the same; at the very first look every file
    /// counts.
    /// `thorough` reads files again whose stamp has not changed. Blocks.
    pub fn look(&mut self, thorough: bool) -> io::Result<Look> {
        let dir = File::open(&self.dir)?;
        let is_first = !self.has_looked;
        let mut seen = BTreeMap::new();
        let mut look = Look::default();
        let (names, strays) = names(&self.dir)?;
        look.strays = strays;
        for name in self.bounded(names) {
            let (stamp, file) = match open(&dir, &name) {
                Ok(opened) => opened,
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && !is_there(&self.dir, &name) =>
                {
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // As good as deleted, and worth a word.
                    look.dangling.push(name);
                    continue;
                }
                Err(error) => {
                    let why = absolute_link(&self.dir, &name).unwrap_or_else(|| error.to_string());
                    look.files.insert(name, Err(why));
                    continue;
                }
            };
            let before = self
                .seen
                .remove(&name)
                .filter(|before| before.stamp == stamp);
            let since = before
                .as_ref()
                .map_or_else(Instant::now, |before| before.since);
            let settled = is_first || (before.is_some() && since.elapsed() >= self.patience.settle);
            let known = before
                .and_then(|before| before.content)
                .filter(|_| !thorough);
            let content = settled.then(|| known.unwrap_or_else(|| read(file, &name, &stamp)));
            match &content {
                Some(content) => drop(look.files.insert(name.clone(), content.clone())),
                None => drop(look.unsettled.insert(name.clone())),
            }
            seen.insert(
                name,
                Seen {
                    stamp,
                    since,
                    missed: None,
                    content,
                },
            );
        }
        for (name, before) in std::mem::take(&mut self.seen) {
            // Gone, or replaced by way of a moment without it: time tells. What serves under its name stays until then.
            let missed = before.missed.unwrap_or_else(Instant::now);
            let is_on_its_way = before.missed.is_none() || missed.elapsed() < self.patience.gone;
            let is_there = seen.contains_key(&name) || look.files.contains_key(&name);
            if is_on_its_way && !is_there {
                look.unsettled.insert(name.clone());
                seen.insert(
                    name,
                    Seen {
                        missed: Some(missed),
                        content: None,
                        ..before
                    },
                );
            }
        }
        self.seen = seen;
        self.has_looked = true;
        Ok(look)
    }

    /// No more than there is room for; what has been seen before comes first.
    fn bounded(&self, mut names: Vec<String>) -> Vec<String> {
        if names.len() > FILES_MAX {
            let files = names.len();
            tracing::error!(
                files,
                max = FILES_MAX,
                "too many files in the plugins directory: the newest are left out"
            );
            names.sort_by_key(|name| !self.seen.contains_key(name));
            names.truncate(FILES_MAX);
        }
        names
    }
}

// === impl Bundled ===

impl Bundled {
    pub fn new(dir: Option<PathBuf>) -> Bundled {
        Bundled {
            dir,
            read: BTreeMap::new(),
        }
    }

    /// A component by the name of its file. Blocks when it is first asked for.
    pub fn get(&mut self, name: &str) -> Option<Result<Content, String>> {
        let dir = self.dir.as_ref()?;
        self.read
            .entry(name.into())
            .or_insert_with(|| read_one(dir, name))
            .clone()
    }
}

fn read_one(dir: &Path, name: &str) -> Option<Result<Content, String>> {
    let opened = File::open(dir).and_then(|dir| open(&dir, name));
    match opened {
        Ok((stamp, file)) => Some(read(file, name, &stamp)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// A small text file. Blocks.
pub fn read_small(dir: &Path, name: &str) -> Result<String, String> {
    let opened = File::open(dir).and_then(|dir| open(&dir, name));
    let (stamp, file) = opened.map_err(|error| error.to_string())?;
    let content = read(file, name, &stamp)?;
    String::from_utf8(content.bytes.to_vec()).map_err(|_| "is not UTF-8 text".into())
}

fn is_there(dir: &Path, name: &str) -> bool {
    dir.join(name).symlink_metadata().is_ok()
}

/// What is wrong with a link to a file of the directory by its whole path.
fn absolute_link(dir: &Path, name: &str) -> Option<String> {
    let target = std::fs::read_link(dir.join(name))
        .ok()
        .filter(|target| target.is_absolute())?;
    let is_inside = dir.canonicalize().is_ok_and(|dir| {
        target
            .canonicalize()
            .is_ok_and(|file| file.starts_with(dir))
    });
    let target = target.display();
    is_inside
        .then(|| format!("is a link to {target}, and absolute links are not followed: make it relative with `ln -sr`"))
}

/// Hook files and components, without hidden files; and entries that were perhaps meant to be some, with the reason why
/// they are none.
fn names(dir: &Path) -> io::Result<(Vec<String>, Strays)> {
    let (mut names, mut strays) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = match entry.file_name().into_string() {
            Ok(name) => name,
            Err(name) => {
                let shown = name.to_string_lossy().into_owned();
                if has_our_ending(&shown) {
                    strays.push((
                        shown,
                        "is not read: its name is not UTF-8; rename it".into(),
                    ));
                }
                continue;
            }
        };
        if name.starts_with('.') {
            continue;
        }
        if name.ends_with(".toml") || name.ends_with(".wasm") {
            names.push(name);
        } else if has_our_ending(&name) {
            let lower = name.to_ascii_lowercase();
            strays.push((
                name,
                format!("is not read: endings are in lower case; rename it to {lower}"),
            ));
        } else if name.to_ascii_lowercase().ends_with(".json") {
            strays.push((
                name,
                "is not read: hook files are TOML; write NAME.toml".into(),
            ));
        } else if name != PROVIDERS
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && has_ours(&entry.path())
        {
            strays.push((name, SUBDIRECTORY.into()));
        }
    }
    names.sort();
    strays.truncate(STRAYS_MAX);
    Ok((names, strays))
}

fn has_our_ending(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(".toml") || lower.ends_with(".wasm")
}

fn has_ours(dir: &Path) -> bool {
    let mut entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .take(FILES_MAX)
        .flatten();
    entries.any(|entry| has_our_ending(&entry.file_name().to_string_lossy()))
}

/// Follows links only within the directory (`..data` of a ConfigMap does), opens nothing but regular files.
fn open(dir: &File, name: &str) -> io::Result<(Stamp, File)> {
    let file = File::from(beneath::open(dir, name).map_err(beneath::describe)?);
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
    let stamp = Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        bytes: meta.len(),
        modified_ns: ns(meta.mtime(), meta.mtime_nsec()),
        changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
    };
    Ok((stamp, file))
}

fn read(file: File, name: &str, stamp: &Stamp) -> Result<Content, String> {
    let max = if name.ends_with(".toml") {
        TEXT_BYTES_MAX
    } else {
        BYTES_MAX
    };
    if stamp.bytes > max {
        return Err(format!("is larger than {} MiB", max >> 20));
    }
    let mut bytes = Vec::with_capacity(stamp.bytes as usize + 1);
    file.take(max)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    Ok(Content::of(bytes))
}

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;

    use super::*;

    const AT_ONCE: Patience = Patience {
        settle: Duration::ZERO,
        gone: Duration::ZERO,
    };

    fn names_of(look: &Look) -> Vec<(&str, bool)> {
        look.files
            .iter()
            .map(|(name, content)| (name.as_str(), content.is_ok()))
            .collect()
    }

    #[test]
    fn a_file_counts_when_it_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.toml"), "1").unwrap();
        let mut scanner = Scanner::new(dir.path().into(), AT_ONCE);
        assert_eq!(names_of(&scanner.look(false).unwrap()), [("a.toml", true)]);
        std::fs::write(dir.path().join("b.wasm"), "half").unwrap();
        let look = scanner.look(false).unwrap();
        assert!(look.unsettled.contains("b.wasm") && names_of(&look) == [("a.toml", true)]);
        std::fs::write(dir.path().join("b.wasm"), "half and whole").unwrap();
        assert!(!scanner.look(false).unwrap().unsettled.is_empty());
        let look = scanner.look(false).unwrap();
        assert!(look.unsettled.is_empty());
        assert_eq!(
            &*look.files["b.wasm"].as_ref().unwrap().bytes,
            b"half and whole"
        );
    }

    #[test]
    fn a_file_is_gone_when_two_looks_miss_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        std::fs::write(&path, "1").unwrap();
        let mut scanner = Scanner::new(dir.path().into(), AT_ONCE);
        scanner.look(false).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            Vec::from_iter(scanner.look(false).unwrap().unsettled),
            ["a.wasm"]
        );
        let look = scanner.look(false).unwrap();
        assert!(look.unsettled.is_empty() && look.files.is_empty());
    }

    #[test]
    fn what_is_not_read_is_named() {
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
        let look = Scanner::new(dir.path().into(), AT_ONCE)
            .look(false)
            .unwrap();
        let mut strays = look.strays.clone();
        strays.sort();
        let names: Vec<&str> = strays.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["X.WASM", "hook.json", "sub", "y.Toml", "\u{fffd}.wasm"]
        );
        assert!(
            strays[0].1.contains("rename it to x.wasm") && strays[2].1.contains("move them up"),
            "{strays:?}"
        );
        assert!(strays[1].1.contains("hook files are TOML"), "{strays:?}");
        let why = look.files["absolute.toml"].as_ref().unwrap_err();
        assert!(why.contains("make it relative with `ln -sr`"), "{why}");
    }

    #[test]
    fn looks_in_quick_succession_settle_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let patience = Patience {
            settle: Duration::from_secs(3600),
            gone: Duration::from_secs(3600),
        };
        let mut scanner = Scanner::new(dir.path().into(), patience);
        std::fs::write(dir.path().join("old.toml"), "1").unwrap();
        assert_eq!(
            names_of(&scanner.look(false).unwrap()),
            [("old.toml", true)]
        );
        std::fs::write(dir.path().join("new.toml"), "1").unwrap();
        std::fs::remove_file(dir.path().join("old.toml")).unwrap();
        for _ in 0..3 {
            let look = scanner.look(false).unwrap();
            assert!(look.files.is_empty());
            assert_eq!(Vec::from_iter(look.unsettled), ["new.toml", "old.toml"]);
        }
    }

    #[test]
    fn a_hook_file_is_no_larger_than_a_mebibyte() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("good.toml", 1 << 20),
            ("large.toml", (1 << 20) + 1),
            ("fits.wasm", (1 << 20) + 1),
        ] {
            std::fs::write(dir.path().join(name), vec![b'#'; bytes]).unwrap();
        }
        let look = Scanner::new(dir.path().into(), AT_ONCE)
            .look(false)
            .unwrap();
        assert_eq!(
            names_of(&look),
            [
                ("fits.wasm", true),
                ("good.toml", true),
                ("large.toml", false)
            ]
        );
    }

    #[test]
    fn links_lead_nowhere_else_and_pipes_are_not_opened() {
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
        let look = Scanner::new(dir.path().into(), AT_ONCE)
            .look(false)
            .unwrap();
        assert_eq!(
            names_of(&look),
            [
                ("folder.wasm", false),
                ("in.toml", true),
                ("out.toml", false),
                ("pipe.toml", false)
            ]
        );
        assert_eq!(look.dangling, ["gone.toml"]);
    }
}
