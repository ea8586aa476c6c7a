//! Files that other users of the machine can write, and secrets that they can read. Who can change
//! a hook file, a component or a secret decides what the node does.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

/// Writable by the group or by all users.
const WRITABLE: u32 = 0o022;
/// Readable by all users. A group that reads secrets has been given them.
const READABLE: u32 = 0o004;
/// In a directory with this bit, a user can replace only files of their own.
const STICKY: u32 = 0o1000;
/// Entries of one directory that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// A sentence for each of these, and for each file in those that are directories, that other users
/// can write.
pub(crate) fn warnings(paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for path in paths {
        found.extend(writable(&path));
        let entries = std::fs::read_dir(&path)
            .into_iter()
            .flatten()
            .take(ENTRIES_MAX)
            .flatten();
        found.extend(entries.filter_map(|entry| writable(&entry.path())));
    }

    found.into_iter().collect()
}

/// A sentence for each of these files of secrets that other users can read, write or replace.
pub(crate) fn secret_warnings(files: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for path in files {
        let path = std::path::absolute(&path).unwrap_or(path);
        found.extend(writable(&path));
        found.extend(readable(&path));
        let dir = path.parent().filter(|dir| mode(dir) & STICKY == 0);
        found.extend(dir.and_then(writable));
    }

    found.into_iter().collect()
}

fn writable(path: &Path) -> Option<String> {
    let mode = mode(path);
    if mode & WRITABLE == 0 || is_read_only(path) {
        return None;
    }

    let shown = path.display();
    Some(format!(
        "{shown} can be written by other users (mode {mode:04o}): chmod go-w {shown}"
    ))
}

fn readable(path: &Path) -> Option<String> {
    let mode = mode(path);
    if mode & READABLE == 0 || is_read_only(path) {
        return None;
    }

    let shown = path.display();
    Some(format!(
        "{shown} is a secret and can be read by other users (mode {mode:04o}): chmod o-r {shown}"
    ))
}

/// Of a file or directory; none for anything else.
fn mode(path: &Path) -> u32 {
    match path.metadata() {
        Ok(meta) if meta.is_dir() || meta.is_file() => meta.mode() & 0o7777,
        _ => 0,
    }
}

/// Mounted so, as volumes of Kubernetes are: the mode says nothing then.
fn is_read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_of_all_users_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let plugins = dir.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        for (name, mode) in [
            ("a.toml", 0o644),
            ("b.toml", 0o664),
            ("c.wasm", 0o646),
            ("../landfall.toml", 0o666),
        ] {
            std::fs::write(plugins.join(name), "").unwrap();
            std::fs::set_permissions(plugins.join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        let paths = [
            plugins,
            dir.path().join("landfall.toml"),
            dir.path().join("missing"),
        ];
        let found = warnings(paths).join("\n");
        for (name, is_named) in [
            ("a.toml", false),
            ("b.toml", true),
            ("c.wasm", true),
            ("/landfall.toml", true),
        ] {
            assert_eq!(
                found.contains(&format!("{name} can be written")),
                is_named,
                "{name}\n{found}"
            );
        }
        assert_eq!(found.lines().count(), 3, "{found}");
    }

    #[test]
    fn exposed_secrets_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "s").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            path
        };
        let set_mode = |name: &str, mode: u32| {
            std::fs::set_permissions(dir.path().join(name), PermissionsExt::from_mode(mode))
                .unwrap();
        };
        let warnings = |path: PathBuf| secret_warnings([path]).join("\n");
        assert_eq!(warnings(file("own", 0o600)), "");
        assert_eq!(warnings(file("group", 0o640)), "");
        assert_eq!(warnings(dir.path().join("missing")), "");
        assert!(warnings(file("all", 0o644)).contains("can be read by other users (mode 0644)"));
        assert!(warnings(file("written", 0o620)).contains("can be written by other users"));

        let inside = file("open/s", 0o600);
        set_mode("open", 0o777);
        assert!(warnings(inside.clone()).contains("/open can be written by other users"));
        set_mode("open", 0o1777);
        assert_eq!(warnings(inside), "");
    }
}
