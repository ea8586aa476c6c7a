//! A copy of the repository in which every checklist has been followed with the files in `tests/fixtures/checklists`, and the binary that
//! is built from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use landfall_tests::{landfall, root};

const FIXTURES: &str = "tests/fixtures/checklists";
/// The binary, as an example, so that it does not take the place of the one that all other tests run.
const NODE: &str = "checklists_node";
const NODE_SOURCE: &str = "//! The node of the checklists.

fn main() -> std::process::ExitCode {
    landfall::cli::run(std::env::args_os())
}
";

/// One addition to a file of the repository.
struct Line {
    file: String,
    /// The line behind which the text is put.
    after: String,
    text: String,
}

/// The files that a checklist adds or changes.
pub fn touched(checklist: &str) -> BTreeSet<String> {
    let mut touched: BTreeSet<String> = new_files(checklist).into_keys().collect();
    touched.extend(lines(checklist).into_iter().map(|line| line.file));
    touched
}

/// The copy. Files that are as before keep their time, so that cargo builds only what has changed.
pub fn repository() -> &'static Path {
    static REPOSITORY: OnceLock<PathBuf> = OnceLock::new();
    REPOSITORY.get_or_init(|| {
        let to = target().join("checklists/repository");
        let mut files = tracked_files();
        for checklist in super::CHECKLISTS {
            files.extend(new_files(checklist.fixture));
            for line in lines(checklist.fixture) {
                add_line(&mut files, &line);
            }
        }
        set_version(&mut files);
        let node = format!("host/landfall/examples/{NODE}.rs");
        files.insert(node, NODE_SOURCE.into());

        remove_others(&to, &to, &files);
        for (name, content) in &files {
            let path = to.join(name);
            if std::fs::read(&path).is_ok_and(|present| present == *content) {
                continue;
            }
            std::fs::create_dir_all(path.parent().expect("a file is in a folder")).unwrap();
            std::fs::write(&path, content).unwrap();
        }
        to
    })
}

/// Gives the crates of the copy a version of their own. Cargo would otherwise take them for the crates of this repository, because
/// both use one target directory, and would mix what it builds from both.
fn set_version(files: &mut BTreeMap<String, Vec<u8>>) {
    let manifest = files.get_mut("Cargo.toml").expect("the workspace has one");
    let text = String::from_utf8(manifest.clone()).expect("a manifest is text");
    let here = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    let there = "version = \"0.1.999\"";
    assert!(text.contains(&here), "Cargo.toml has {here}");
    *manifest = text.replacen(&here, there, 1).into_bytes();
}

/// The binary of the copy.
pub fn node() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // The whole workspace, so that dependencies have the features that they have here.
        cargo(
            repository(),
            &target(),
            &["build", "--workspace", "--example", NODE],
        );
        target().join("debug/examples").join(NODE)
    })
}

/// A component of the copy, for the target in the settings of its folder.
pub fn component(folder: &str, arguments: &[&str], file: &str) -> PathBuf {
    let dir = repository().join(folder);
    let target = target().join("wasm");
    let triple = match folder {
        "plugins" => "wasm32-unknown-unknown",
        _ => "wasm32-wasip2",
    };
    let build = ["build", "--release", "--target", triple];
    cargo(&dir, &target, &[&build, arguments].concat());
    target.join(triple).join("release").join(file)
}

/// Runs cargo, which must succeed.
pub fn cargo(dir: &Path, target: &Path, arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        let is_of_tests =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_tests) {
            command.env_remove(name);
        }
    }

    let status = command
        .args(arguments)
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", target)
        .status()
        .expect("cargo starts");
    assert!(status.success(), "cargo {arguments:?} in {}", dir.display());
}

/// The target directory of this build.
pub fn target() -> PathBuf {
    let binary = landfall();
    let target = binary.parent().and_then(Path::parent);
    target.expect("the binary is in target/debug").into()
}

/// Every file that git knows or would add.
fn tracked_files() -> BTreeMap<String, Vec<u8>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .expect("git starts");
    assert!(output.status.success(), "git lists no files");
    let names = String::from_utf8(output.stdout).unwrap();
    let names = names.split('\0').filter(|name| !name.is_empty());
    names
        .filter_map(|name| Some((name.to_owned(), std::fs::read(root().join(name)).ok()?)))
        .collect()
}

/// The files that a checklist adds, by their place in the repository.
fn new_files(checklist: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = root().join(FIXTURES).join(checklist);
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&dir).unwrap().to_str().unwrap();
            files.insert(name.to_owned(), std::fs::read(&path).unwrap());
        }
    }
    files.remove("lines.toml");
    files
}

fn lines(checklist: &str) -> Vec<Line> {
    let path = root().join(FIXTURES).join(checklist).join("lines.toml");
    let Ok(text) = std::fs::read_to_string(path) else {
        return Vec::new();
    };
    let table: toml::Table = text.parse().unwrap();
    let lines = table["line"].as_array().expect("[[line]]");
    lines
        .iter()
        .map(|line| Line {
            file: text_of(line, "file"),
            after: text_of(line, "after"),
            text: text_of(line, "text"),
        })
        .collect()
}

fn text_of(line: &toml::Value, key: &str) -> String {
    line[key].as_str().expect(key).to_owned()
}

fn add_line(files: &mut BTreeMap<String, Vec<u8>>, line: &Line) {
    let Line { file, after, text } = line;
    let content = files
        .get_mut(file)
        .unwrap_or_else(|| panic!("no file {file}"));
    let present = std::str::from_utf8(content).unwrap();
    let anchor = format!("{after}\n");
    assert!(present.contains(&anchor), "{file} has no line {after:?}");
    *content = present
        .replacen(&anchor, &format!("{anchor}{text}\n"), 1)
        .into();
}

fn remove_others(root: &Path, folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        if path.is_dir() {
            remove_others(root, &path, files);
        } else if !files.contains_key(name) && !name.ends_with("Cargo.lock") {
            std::fs::remove_file(&path).unwrap();
        }
    }
}
