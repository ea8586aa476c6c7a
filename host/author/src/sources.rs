//! The sources of a handler, watched: its folder, and the packages that it depends on by path. A
//! change counts only if it changes the content of a file that the build or the node reads, so that
//! the output of a build never starts another one.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::local_packages::{PACKAGES_MAX, outside};
use crate::project::Project;

/// Folders and a file directly in the handler's folder that tools write, or that neither the build
/// nor the node reads. Below, the same names may be those of modules.
const UNREAD_AT_TOP: [&str; 8] = [
    "target",
    "build",
    "dist",
    "cases",
    "samples",
    "test",
    "tests",
    "README.md",
];
/// Folders that tools write anywhere.
const WRITTEN: [&str; 2] = ["node_modules", "__pycache__"];
/// Tools mark a folder with this file if what is in it can be made again.
const CACHE_TAG: &str = "CACHEDIR.TAG";
/// What the names of files end with that no build reads, or that each build writes.
const UNREAD_FILES: [&str; 4] = ["Cargo.lock", "package-lock.json", "~", ".swp"];
/// Of the hook, not of the component.
const HOOK_FOLDERS: [&str; 2] = ["secrets", "providers"];
/// An editor writes several files at once, or one in several steps.
const QUIET: Duration = Duration::from_millis(40);
/// A larger file counts by its size.
const READ_MAX: u64 = 8 << 20;
/// The most bytes that one look for changes reads. The files after them count by size and time.
const READ_IN_ALL_MAX: u64 = 100 << 20;

/// The most files and folders outside the handler's folder that are read.
const OUTSIDE_MAX: usize = 4096;

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The files of the component that are new, changed or gone: it must be built again.
    pub code: Vec<PathBuf>,
    /// The hook file or a secret.
    pub hook: bool,
}

/// The watched sources.
pub struct Sources {
    project: Project,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<()>,
    known: Fingerprint,
}

/// The hash of the content of each file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fingerprint {
    code: BTreeMap<PathBuf, u64>,
    hook: BTreeMap<PathBuf, u64>,
}

// === impl Sources ===

impl Sources {
    /// Starts to watch. What the files contain now is known.
    pub fn watch(project: &Project) -> anyhow::Result<Sources> {
        // Capacity 1: many changes need only one look.
        let (notify, changes) = mpsc::channel(1);
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| !event.kind.is_access()) {
                notify.try_send(()).ok();
            }
        };
        let watcher =
            notify::recommended_watcher(on_event).context("changes of files cannot be watched")?;
        let mut sources = Sources {
            known: fingerprint(project, READ_IN_ALL_MAX),
            project: project.clone(),
            watcher,
            watched: BTreeSet::new(),
            changes,
        };
        let is_whole = sources.watch_folders()?;
        if !is_whole {
            tracing::warn!(
                "the dependencies by path are more than {PACKAGES_MAX} packages or {OUTSIDE_MAX} files: changes in some are not noticed"
            );
        }
        Ok(sources)
    }

    /// Waits for a change that counts. Not to be cancelled: a change may already have been noticed.
    pub async fn changed(&mut self) -> anyhow::Result<Changed> {
        loop {
            self.changes
                .recv()
                .await
                .context("changes of files are no longer watched")?;
            while tokio::time::timeout(QUIET, self.changes.recv())
                .await
                .is_ok()
            {}
            self.watch_folders()?;

            let now = fingerprint(&self.project, READ_IN_ALL_MAX);
            let changed = Changed {
                code: differing(&self.known.code, &now.code),
                hook: now.hook != self.known.hook,
            };
            self.known = now;
            if changed.hook || !changed.code.is_empty() {
                return Ok(changed);
            }
        }
    }

    /// Watches folders that are new. Returns whether all that should be are watched.
    fn watch_folders(&mut self) -> anyhow::Result<bool> {
        let mut folders = BTreeSet::from([self.project.dir.clone()]);
        let is_whole = visit(&self.project, &mut |path, is_dir| {
            if is_dir {
                folders.insert(path.to_owned());
            } else if path.is_symlink()
                && let Ok(target) = path.canonicalize()
            {
                // A change of the file that a link leads to is noticed in that file's folder.
                folders.extend(target.parent().map(Path::to_owned));
            }
        });
        for folder in folders.difference(&self.watched) {
            let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
            if folder.is_dir() {
                watched.with_context(|| format!("{} cannot be watched", folder.display()))?;
            }
        }
        self.watched = folders;
        Ok(is_whole)
    }
}

/// Reads at most `left` bytes.
fn fingerprint(project: &Project, mut left: u64) -> Fingerprint {
    let mut found = Fingerprint {
        code: BTreeMap::new(),
        hook: BTreeMap::new(),
    };
    let hook_file = project.hook_file();
    visit(project, &mut |path, is_dir| {
        if is_dir {
            return;
        }

        let below = path.strip_prefix(&project.dir).unwrap_or(path);
        let top = below.iter().next().unwrap_or_default();
        let is_hooks = path == hook_file || HOOK_FOLDERS.iter().any(|folder| top == *folder);
        let files = if is_hooks {
            &mut found.hook
        } else {
            &mut found.code
        };
        files.insert(path.to_owned(), hash(path, &mut left));
    });
    found
}

/// The files that are only in one of the two, or have another hash.
fn differing(before: &BTreeMap<PathBuf, u64>, now: &BTreeMap<PathBuf, u64>) -> Vec<PathBuf> {
    let is_other = |path: &&PathBuf| before.get(*path) != now.get(*path);
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    now.keys().chain(gone).filter(is_other).cloned().collect()
}

/// The hash of a file, of which at most `left` bytes are read.
fn hash(path: &Path, left: &mut u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Reading a pipe would not end.
    let Some(file) = std::fs::metadata(path).ok().filter(|file| file.is_file()) else {
        return hasher.finish();
    };

    let size = file.len();
    if size <= READ_MAX && size <= *left {
        *left -= size;
        std::fs::read(path).unwrap_or_default().hash(&mut hasher);
    } else {
        (size, file.modified().ok()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Every file and folder that the build or the node reads, in order. Links are followed. Returns
/// whether nothing was left out because of a limit.
fn visit(project: &Project, act: &mut impl FnMut(&Path, bool)) -> bool {
    let dir = &project.dir;
    let own = dir.canonicalize().unwrap_or_else(|_| dir.clone());
    let mut visited = Visited {
        top: own.clone(),
        folders: BTreeSet::from([own]),
        left: usize::MAX,
    };
    visit_below(dir, true, &mut visited, act);

    let packages = outside(project);
    let is_whole = packages.len() < PACKAGES_MAX;
    visited.left = OUTSIDE_MAX;
    for package in packages {
        if visited.folders.insert(package.clone()) {
            visited.top.clone_from(&package);
            act(&package, true);
            visit_below(&package, false, &mut visited, act);
        }
    }
    is_whole && visited.left > 0
}

fn visit_below(dir: &Path, is_top: bool, visited: &mut Visited, act: &mut impl FnMut(&Path, bool)) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };

    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        let is_dir = path.is_dir();
        let is_unread = if is_dir {
            WRITTEN.contains(&&*name) || path.join(CACHE_TAG).is_file()
        } else {
            UNREAD_FILES.iter().any(|end| name.ends_with(end))
        };
        let is_unread = is_unread || (is_top && UNREAD_AT_TOP.contains(&&*name));
        // Of the hidden folders only cargo's is read by a build.
        if is_unread || (name.starts_with('.') && name != ".cargo") {
            continue;
        }
        if visited.left == 0 {
            return;
        }
        visited.left -= 1;

        if !is_dir {
            act(&path, false);
        } else if visited.is_new(&path) {
            act(&path, true);
            visit_below(&path, false, visited, act);
        }
    }
}

/// The visited folders by their paths without links, so that no link leads in a circle.
struct Visited {
    /// The folder of the handler, or of the package that is visited.
    top: PathBuf,
    folders: BTreeSet<PathBuf>,
    /// How many files and folders may still be visited.
    left: usize,
}

// === impl Visited ===

impl Visited {
    /// Whether the folder has not been visited. A link to the folder at the top or to one above it,
    /// such as `/`, is never followed.
    fn is_new(&mut self, dir: &Path) -> bool {
        let real = dir.canonicalize().ok();
        let real = real.filter(|real| !self.top.starts_with(real));
        real.is_some_and(|real| self.folders.insert(real))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Language;

    fn project(dir: &Path) -> Project {
        Project {
            dir: dir.into(),
            language: Language::Rust,
            name: "a".into(),
            hook: "a".into(),
        }
    }

    #[test]
    fn only_sources_count() {
        let dir = tempfile::tempdir().unwrap();
        let project = project(dir.path());
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            fingerprint(&project, READ_IN_ALL_MAX)
        };

        let first = put("src/lib.rs", "1");
        for unread in [
            "target/a",
            "build/a.wasm",
            ".landfall/x",
            "README.md",
            "cases/a.toml",
            "tests/a.rs",
            "vendor/sdk/target/CACHEDIR.TAG",
            "vendor/sdk/target/a",
            "vendor/sdk/node_modules/a.js",
            "Cargo.lock",
        ] {
            assert_eq!(put(unread, "1"), first, "{unread}");
        }
        let mut second = put("src/new/mod.rs", "1");
        assert_ne!(second.code, first.code);
        for read in [
            "src/build/mod.rs",
            "src/tests/a.rs",
            "src/prompt.md",
            ".cargo/config.toml",
        ] {
            let before = std::mem::replace(&mut second, put(read, "1"));
            assert_ne!(second.code, before.code, "{read}");
        }
        let third = put("a.toml", "1");
        assert!(third.code == second.code && third.hook != second.hook);
        let fourth = put("secrets/a", "1");
        assert!(fourth.code == third.code && fourth.hook != third.hook);
        assert_eq!(put("src/lib.rs", "1"), fourth, "the same content");

        let fifth = put("src/lib.rs", "2");
        std::fs::remove_file(dir.path().join("src/prompt.md")).unwrap();
        let sixth = put("src/z.rs", "1");
        let changed = differing(&fourth.code, &sixth.code);
        let expected = ["src/lib.rs", "src/z.rs", "src/prompt.md"];
        assert_eq!(changed, expected.map(|name| dir.path().join(name)));
        assert!(differing(&fifth.code, &fifth.code).is_empty());
    }

    #[test]
    fn large_folders_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let project = project(dir.path());
        let put = |name: &str, text: &str, seconds: u64| {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            std::io::Write::write_all(&mut &file, text.as_bytes()).unwrap();
            let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
        };
        let look = || fingerprint(&project, 4).code;

        put("a.rs", "1234", 1);
        put("b.rs", "1234", 1);
        let first = look();
        put("b.rs", "5678", 1);
        assert_eq!(look(), first, "the second file is not read");
        put("b.rs", "5678", 2);
        let second = look();
        assert_eq!(differing(&first, &second), [dir.path().join("b.rs")]);
        put("a.rs", "5678", 1);
        assert_eq!(differing(&second, &look()), [dir.path().join("a.rs")]);
    }

    #[test]
    fn links_are_followed_once() {
        use std::os::unix::fs::symlink;

        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("mine");
        for folder in ["mine/src", "shared"] {
            std::fs::create_dir_all(parent.path().join(folder)).unwrap();
        }
        symlink("../../shared", dir.join("src/shared")).unwrap();
        symlink("../../shared/a.rs", dir.join("src/linked.rs")).unwrap();
        symlink("..", dir.join("src/circle")).unwrap();
        symlink("/", dir.join("src/everything")).unwrap();
        symlink("nowhere", dir.join("src/nothing")).unwrap();
        let pipe = dir.join("src/pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();

        let project = project(&dir);
        let put = |name: &str, text: &str| {
            std::fs::write(parent.path().join("shared").join(name), text).unwrap();
            fingerprint(&project, READ_IN_ALL_MAX).code
        };
        let (first, second) = (put("a.rs", "1"), put("a.rs", "2"));
        assert_ne!(first, second);
        assert_ne!(put("b.rs", "1"), second);

        let sources = Sources::watch(&project).unwrap();
        let shared = parent.path().join("shared").canonicalize().unwrap();
        let is_watched = |folder: &&PathBuf| folder.canonicalize().is_ok_and(|real| real == shared);
        assert!(sources.watched.iter().any(|folder| is_watched(&folder)));
        assert!(sources.watched.len() <= 4, "{:?}", sources.watched);
    }

    #[test]
    fn dependencies_outside_are_read() {
        let parent = tempfile::tempdir().unwrap();
        let project = project(&parent.path().join("mine"));
        let put = |name: &str, text: &str| {
            let path = parent.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            fingerprint(&project, READ_IN_ALL_MAX).code
        };
        put("lib/src/lib.rs", "1");
        // A package around the handler's folder, whose build must not count.
        put("Cargo.toml", "[package]\nname = \"all\"\n");
        let paths = "lib = { path = \"../lib\" }\nall = { path = \"..\" }\n";
        let first = put("mine/Cargo.toml", &format!("[dependencies]\n{paths}"));
        for unread in ["mine/build/mine.wasm", "lib/target/CACHEDIR.TAG"] {
            assert_eq!(put(unread, "1"), first, "{unread}");
        }
        let second = put("lib/src/lib.rs", "2");
        assert_ne!(second, first);
        assert_ne!(put("src/lib.rs", "1"), second, "the package around it");

        let sources = Sources::watch(&project).unwrap();
        let lib = parent.path().canonicalize().unwrap().join("lib/src");
        assert!(sources.watched.contains(&lib), "{:?}", sources.watched);
        for number in 0..OUTSIDE_MAX {
            std::fs::write(parent.path().join(format!("lib/{number}")), "").unwrap();
        }
        assert!(!visit(&project, &mut |_, _| {}), "there is a limit");
    }
}
