//! Dependencies by path in a `requirements.txt`, and in the sources of uv in a `pyproject.toml`.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The most files of requirements that name each other.
const DEPTH_MAX: usize = 8;

/// The folders of the packages that the one in `dir` needs.
pub(super) fn dependencies(dir: &Path) -> Vec<PathBuf> {
    let mut found = requirements(&dir.join("requirements.txt"), dir, DEPTH_MAX);
    found.extend(uv_sources(dir));
    found
}

/// pip looks for paths in the folder where it runs, and for other files beside the one that names
/// them.
fn requirements(file: &Path, dir: &Path, depth: usize) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        match option(line, &["-r", "--requirement"]) {
            Some(other) if depth > 0 => {
                found.extend(requirements(&file.with_file_name(other), dir, depth - 1));
            }
            Some(_) => {}
            None => {
                let package = option(line, &["-e", "--editable"]).unwrap_or(line);
                found.extend(local_path(package).map(|path| dir.join(path)));
            }
        }
    }
    found
}

/// The value of `-e VALUE` or `--editable=VALUE`.
fn option<'a>(line: &'a str, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '=']).then(|| rest[1..].trim())
    })
}

/// The path of `./lib[extra]`, `file:../lib` or `lib @ file:../lib`.
fn local_path(requirement: &str) -> Option<&str> {
    let place = requirement
        .split_once(" @ ")
        .map_or(requirement, |(_, place)| place);
    let place = place.split([';', '#', '[']).next()?.trim();
    let of_url = place
        .strip_prefix("file://")
        .or_else(|| place.strip_prefix("file:"));
    of_url.or_else(|| place.starts_with(['.', '/']).then_some(place))
}

fn uv_sources(dir: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(dir.join("pyproject.toml")).unwrap_or_default();
    let table: Table = text.parse().unwrap_or_default();
    let tool = table.get("tool");
    let sources = tool.and_then(|tool| tool.get("uv")?.get("sources")?.as_table());
    let sources = sources.into_iter().flat_map(Table::values);
    sources
        .filter_map(|source| source.get("path").and_then(Value::as_str))
        .map(|path| dir.join(path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_requirements_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put(
            "requirements.txt",
            "# all\n-e ../editable\n./vendor/landfall-sdk # the SDK\ncomponentize-py==0.25.1\n-r more.txt\n-r requirements.txt\n\
             --editable=../other[extra]\nlib @ file:///opt/lib ; python_version > '3'\nweb @ https://example.com/web.whl\n",
        );
        put(
            "more.txt",
            "file:../more\n--index-url https://example.com/\n",
        );
        put(
            "pyproject.toml",
            "[tool.uv.sources]\nlocal = { path = \"../uv\" }\nremote = { git = \"https://example.com\" }\n",
        );

        let mut found = dependencies(dir.path());
        found.sort();
        found.dedup();
        let mut expected = [
            "../editable",
            "../more",
            "../other",
            "../uv",
            "./vendor/landfall-sdk",
            "/opt/lib",
        ]
        .map(|path| dir.path().join(path));
        expected.sort();
        assert_eq!(found, expected);
    }
}
