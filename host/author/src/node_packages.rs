//! Which packages of a handler in TypeScript or JavaScript are installed. An interrupted `npm
//! install` leaves some of them out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The first package that the folder needs, itself or through another one, and that Node.js would
/// not find. `None`: all are there.
pub(crate) fn missing(folder: &Path) -> Option<String> {
    let mut visited = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(package) = waiting.pop() {
        for name in needed(&package) {
            let Some(found) = find(&package, &name) else {
                return Some(name);
            };
            if visited.insert(found.clone()) {
                waiting.push(found);
            }
        }
    }
    None
}

/// The `dependencies` of `package.json`, without optional ones. Of a file that cannot be read there
/// are none: the build says what is wrong with it.
fn needed(package: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(package.join("package.json")).unwrap_or_default();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let names = json["dependencies"].as_object().into_iter().flatten();
    let names = names.map(|(name, _)| name);
    names
        .filter(|name| json["optionalDependencies"].get(name).is_none())
        .cloned()
        .collect()
}

/// As Node.js looks for a package: in `node_modules` of the folder and of each folder above it,
/// where the folder is without links.
pub(crate) fn find(from: &Path, name: &str) -> Option<PathBuf> {
    let real = from.canonicalize().ok()?;
    let mut candidates = real
        .ancestors()
        .map(|dir| dir.join("node_modules").join(name));
    let package = candidates.find(|package| package.join("package.json").is_file())?;
    package.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_needed_package_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name).join("package.json");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            "",
            r#"{"dependencies": {"landfall-sdk": "file:vendor/landfall-sdk", "rare": "1"},
                "optionalDependencies": {"rare": "1"}, "devDependencies": {"typescript": "7"}}"#,
        );
        put(
            "vendor/landfall-sdk",
            r#"{"dependencies": {"esbuild": "1"}}"#,
        );
        let missing = || missing(dir.path());
        assert_eq!(missing().as_deref(), Some("landfall-sdk"));

        std::fs::create_dir(dir.path().join("node_modules")).unwrap();
        let link = dir.path().join("node_modules/landfall-sdk");
        std::os::unix::fs::symlink("../vendor/landfall-sdk", link).unwrap();
        assert_eq!(missing().as_deref(), Some("esbuild"));
        put("node_modules/esbuild", r#"{"dependencies": {"deep": "1"}}"#);
        assert_eq!(missing().as_deref(), Some("deep"));
        put(
            "node_modules/esbuild/node_modules/deep",
            r#"{"dependencies": {"esbuild": "1"}}"#,
        );
        assert_eq!(missing(), None);
    }
}
