//! Finds files that other users of the machine can write. A user who can change a hook file, a component or a secret controls the node.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

const OTHERS: u32 = 0o022;
/// Checked entries of one directory.
const ENTRIES_MAX: usize = 10_000;

/// A warning for each path that other users can write. Of a directory, its files are checked too.
pub fn warnings(paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for path in paths {
        found.extend(sentence(&path));
        let entries = std::fs::read_dir(&path)
            .into_iter()
            .flatten()
            .take(ENTRIES_MAX)
            .flatten();
        found.extend(entries.filter_map(|entry| sentence(&entry.path())));
    }
    found.into_iter().collect()
}

fn sentence(path: &Path) -> Option<String> {
    let meta = path
        .metadata()
        .ok()
        .filter(|meta| meta.is_dir() || meta.is_file())?;
    let mode = meta.mode() & 0o7777;
    if mode & OTHERS == 0 || is_read_only(path) {
        return None;
    }
    let shown = path.display();
    Some(format!(
        "{shown} can be written by other users (mode {mode:04o}): chmod go-w {shown}"
    ))
}

/// Whether the path is on a read-only mount, such as a Kubernetes volume, where the mode does not matter.
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
}
