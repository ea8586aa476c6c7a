//! The packages outside a handler's folder that its build reads: those that it depends on by path.

mod crates;
mod node;
mod python;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::project::{Language, Project};

/// The most packages that are looked for.
pub(crate) const PACKAGES_MAX: usize = 64;

/// The folders of the packages outside the handler's folder, at most `PACKAGES_MAX`, without links.
/// The handler depends on them itself or through another one.
pub(crate) fn outside(project: &Project) -> BTreeSet<PathBuf> {
    let Ok(own) = project.dir.canonicalize() else {
        return BTreeSet::new();
    };

    let mut found = BTreeSet::from([own.clone()]);
    let mut waiting = vec![own.clone()];
    while let Some(package) = waiting.pop() {
        for dependency in dependencies(project.language, &package) {
            let real = dependency.canonicalize().ok();
            if let Some(real) = real.filter(|real| real.is_dir())
                && found.len() <= PACKAGES_MAX
                && found.insert(real.clone())
            {
                waiting.push(real);
            }
        }
    }
    found.retain(|package| !package.starts_with(&own));
    found
}

/// The folders that the package in `dir` depends on. Some may not exist.
fn dependencies(language: Language, dir: &Path) -> Vec<PathBuf> {
    match language {
        Language::Rust => crates::dependencies(dir),
        Language::TypeScript | Language::JavaScript => node::dependencies(dir),
        Language::Python => python::dependencies(dir),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_dependencies_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            "mine/Cargo.toml",
            "[dependencies]\na = { path = \"../a\" }\nsdk = { path = \"vendor/sdk\" }\ngone = { path = \"../gone\" }\n",
        );
        put(
            "mine/vendor/sdk/Cargo.toml",
            "[dependencies]\nc = { path = \"../../../c\" }\n",
        );
        // In a circle.
        put(
            "a/Cargo.toml",
            "[dependencies]\nb = { path = \"../b\" }\nmine = { path = \"../mine\" }\n",
        );
        put("b/Cargo.toml", "");
        put("c/Cargo.toml", "");
        let project = Project {
            dir: dir.join("mine"),
            language: Language::Rust,
            name: "mine".into(),
            hook: "mine".into(),
        };
        let expected = ["a", "b", "c"].map(|name| dir.join(name));
        assert_eq!(outside(&project), BTreeSet::from(expected));
    }
}
