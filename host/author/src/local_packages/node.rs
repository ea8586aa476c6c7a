//! Dependencies of a `package.json` that are folders: by path, of a workspace, or of `npm link`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::node_packages::find;

/// What a bundle may contain.
const TABLES: [&str; 3] = ["dependencies", "devDependencies", "optionalDependencies"];
/// How the version of a dependency by path begins.
const PATH_WORDS: [&str; 3] = ["file:", "link:", "portal:"];

/// The folders of the packages that the one in `dir` is built with.
pub(super) fn dependencies(dir: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(dir.join("package.json")).unwrap_or_default();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let listed = TABLES.iter().filter_map(|table| json[*table].as_object());
    listed
        .flatten()
        .filter_map(|(name, version)| {
            let version = version.as_str().unwrap_or_default();
            by_path(version)
                .map(|path| dir.join(path))
                .or_else(|| linked(dir, name))
        })
        .collect()
}

fn by_path(version: &str) -> Option<&str> {
    let named = PATH_WORDS
        .iter()
        .find_map(|word| version.strip_prefix(word));
    named.or_else(|| version.starts_with(['.', '/']).then_some(version))
}

/// A package in `node_modules` that is a link to a folder elsewhere.
fn linked(dir: &Path, name: &str) -> Option<PathBuf> {
    let real = find(dir, name)?;
    let is_installed = real.iter().any(|part| part == "node_modules");
    (!is_installed).then_some(real)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_and_links_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for package in ["mine", "shared", "node_modules/remote"] {
            std::fs::create_dir_all(dir.join(package)).unwrap();
            std::fs::write(dir.join(package).join("package.json"), "{}").unwrap();
        }
        // As npm does for a workspace.
        symlink("../shared", dir.join("node_modules/shared")).unwrap();
        let mine = dir.join("mine");
        std::fs::write(
            mine.join("package.json"),
            r#"{"dependencies": {"lib": "file:../lib", "shared": "*", "remote": "^1.0.0", "bare": "../bare"},
                "devDependencies": {"tool": "link:../tool", "absent": "2"}}"#,
        )
        .unwrap();

        let mut found = dependencies(&mine);
        found.sort();
        let by_path = ["../bare", "../lib", "../tool"].map(|path| mine.join(path));
        assert_eq!(found, [&by_path[..], &[dir.join("shared")]].concat());
    }
}
