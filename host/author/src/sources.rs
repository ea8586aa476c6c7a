//! The sources of a handler's folder, watched. A change counts only if it changes the content of a file that the build or the node
//! reads, so that the output of a build never starts another one.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::project::Project;

/// Folders that tools write.
const WRITTEN: [&str; 5] = ["target", "node_modules", "build", "__pycache__", "dist"];
/// Folders and files that neither the build nor the node reads. The names of files end with these.
const UNREAD_FOLDERS: [&str; 4] = ["cases", "samples", "test", "tests"];
const UNREAD_FILES: [&str; 5] = [".md", "Cargo.lock", "package-lock.json", "~", ".swp"];
/// Of the hook, not of the component.
const HOOK_FOLDERS: [&str; 2] = ["secrets", "providers"];
/// An editor writes several files at once, or one in several steps.
const QUIET: Duration = Duration::from_millis(40);
/// A larger file counts by its size.
const READ_MAX: u64 = 8 << 20;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The component must be built again.
    pub code: bool,
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

/// Hashes of the content of all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    code: u64,
    hook: u64,
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
            known: fingerprint(project),
            project: project.clone(),
            watcher,
            watched: BTreeSet::new(),
            changes,
        };
        sources.watch_folders()?;
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

            let now = fingerprint(&self.project);
            let changed = Changed {
                code: now.code != self.known.code,
                hook: now.hook != self.known.hook,
            };
            self.known = now;
            if changed.code || changed.hook {
                return Ok(changed);
            }
        }
    }

    /// Watches folders that are new.
    fn watch_folders(&mut self) -> anyhow::Result<()> {
        let mut folders = BTreeSet::from([self.project.dir.clone()]);
        visit(&self.project.dir, &mut |path, is_dir| {
            if is_dir {
                folders.insert(path.to_owned());
            }
        });
        for folder in folders.difference(&self.watched) {
            let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
            if folder.is_dir() {
                watched.with_context(|| format!("{} cannot be watched", folder.display()))?;
            }
        }
        self.watched = folders;
        Ok(())
    }
}

fn fingerprint(project: &Project) -> Fingerprint {
    let (mut code, mut hook) = (DefaultHasher::new(), DefaultHasher::new());
    let hook_file = project.hook_file();
    visit(&project.dir, &mut |path, is_dir| {
        let below = path.strip_prefix(&project.dir).unwrap_or(path);
        let top = below.iter().next().unwrap_or_default();
        let is_hooks = path == hook_file || HOOK_FOLDERS.iter().any(|folder| top == *folder);
        if !is_dir {
            hash(path, if is_hooks { &mut hook } else { &mut code });
        }
    });
    Fingerprint {
        code: code.finish(),
        hook: hook.finish(),
    }
}

fn hash(path: &Path, into: &mut DefaultHasher) {
    path.hash(into);
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    if size <= READ_MAX {
        std::fs::read(path).unwrap_or_default().hash(into);
    } else {
        size.hash(into);
    }
}

/// Every file and folder that the build or the node reads, in order.
fn visit(dir: &Path, act: &mut impl FnMut(&Path, bool)) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };

    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_unread = if is_dir {
            WRITTEN.contains(&&*name) || UNREAD_FOLDERS.contains(&&*name)
        } else {
            UNREAD_FILES.iter().any(|end| name.ends_with(end))
        };
        // Of the hidden folders only cargo's is read by a build.
        if is_unread || (name.starts_with('.') && name != ".cargo") {
            continue;
        }

        act(&entry.path(), is_dir);
        if is_dir {
            visit(&entry.path(), act);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Language;

    #[test]
    fn only_sources_count() {
        let dir = tempfile::tempdir().unwrap();
        let project = Project {
            dir: dir.path().into(),
            language: Language::Rust,
            name: "a".into(),
        };
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            fingerprint(&project)
        };

        let first = put("src/lib.rs", "1");
        for unread in [
            "target/a",
            "build/a.wasm",
            ".landfall/x",
            "README.md",
            "cases/a.toml",
            "Cargo.lock",
        ] {
            assert_eq!(put(unread, "1"), first, "{unread}");
        }
        let second = put("src/new/mod.rs", "1");
        assert_ne!(second.code, first.code);
        let before = second.code;
        let second = put(".cargo/config.toml", "1");
        assert_ne!(second.code, before);
        let third = put("a.toml", "1");
        assert_eq!((third.code, third.hook != second.hook), (second.code, true));
        let fourth = put("secrets/a", "1");
        assert_eq!((fourth.code, fourth.hook != third.hook), (third.code, true));
        assert_eq!(put("src/lib.rs", "1"), fourth, "the same content");
    }
}
