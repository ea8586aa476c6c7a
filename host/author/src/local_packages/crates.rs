//! Dependencies by path in a `Cargo.toml`.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What a build reads. It does not read `dev-dependencies`.
const SECTIONS: [&str; 2] = ["dependencies", "build-dependencies"];

/// The folders of the crates that the one in `dir` is built with.
pub(super) fn dependencies(dir: &Path) -> Vec<PathBuf> {
    let Some(manifest) = read(dir) else {
        return Vec::new();
    };
    let (root, workspace) = workspace(dir, &manifest);
    let shared = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"));

    let mut found = Vec::new();
    for (name, dependency) in sections(&manifest).flatten() {
        if let Some(path) = path_of(dependency) {
            found.push(dir.join(path));
        } else if dependency.get("workspace").and_then(Value::as_bool) == Some(true) {
            let path = shared.and_then(|shared| path_of(shared.get(name)?));
            found.extend(path.map(|path| root.join(path)));
        }
    }
    let patches = tables(workspace.get("patch")).flatten();
    found.extend(patches.filter_map(|(_, patch)| Some(root.join(path_of(patch)?))));
    found
}

fn read(dir: &Path) -> Option<Table> {
    let text = std::fs::read_to_string(dir.join("Cargo.toml")).ok()?;
    text.parse().ok()
}

/// The tables of dependencies, also those for one target.
fn sections(manifest: &Table) -> impl Iterator<Item = &Table> {
    let all = std::iter::once(manifest).chain(tables(manifest.get("target")));
    all.flat_map(|table| {
        let sections = SECTIONS.iter();
        sections.filter_map(move |section| table.get(*section)?.as_table())
    })
}

/// The tables in a table.
fn tables(table: Option<&Value>) -> impl Iterator<Item = &Table> {
    let table = table.and_then(Value::as_table).into_iter();
    table.flat_map(Table::values).filter_map(Value::as_table)
}

fn path_of(dependency: &Value) -> Option<&str> {
    dependency.get("path")?.as_str()
}

/// The folder and the manifest of the workspace that a crate belongs to; an empty manifest if it
/// belongs to none.
fn workspace(dir: &Path, manifest: &Table) -> (PathBuf, Table) {
    let package = manifest.get("package");
    let named = package.and_then(|package| package.get("workspace")?.as_str());
    let candidates: Vec<PathBuf> = match named {
        Some(root) => vec![dir.join(root)],
        None => dir.ancestors().map(Path::to_owned).collect(),
    };
    let mut found = candidates.into_iter().filter_map(|dir| {
        let manifest = read(&dir)?;
        manifest
            .contains_key("workspace")
            .then_some((dir, manifest))
    });
    found.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_every_table_count() {
        let dir = tempfile::tempdir().unwrap();
        let member = dir.path().join("handlers/mine");
        std::fs::create_dir_all(&member).unwrap();
        std::fs::write(
            dir.path().join("Cargo.toml"),
            "[workspace]\nmembers = [\"handlers/*\"]\n\
             [workspace.dependencies]\nshared = { path = \"shared\" }\nserde = \"1\"\n\
             [patch.crates-io]\nserde = { path = \"patched\" }\n",
        )
        .unwrap();
        std::fs::write(
            member.join("Cargo.toml"),
            "[dependencies]\nserde.workspace = true\nshared = { workspace = true }\nlog = \"1\"\nlib = { path = \"../lib\" }\n\
             [build-dependencies]\ncode = { path = \"../code\" }\n\
             [dev-dependencies]\nfakes = { path = \"../fakes\" }\n\
             [target.'cfg(target_family = \"wasm\")'.dependencies]\nsmall = { path = \"../small\" }\n",
        )
        .unwrap();

        let mut found = dependencies(&member);
        found.sort();
        let mut expected = ["../code", "../lib", "../small"]
            .map(|path| member.join(path))
            .to_vec();
        expected.extend(["shared", "patched"].map(|path| dir.path().join(path)));
        expected.sort();
        assert_eq!(found, expected);
    }
}
