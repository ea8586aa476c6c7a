//! Checks the layout of the code: which crate may depend on which (docs/ARCHITECTURE.md), one owner
//! for each large dependency, and the top level of the repository. Cargo refuses what a manifest
//! does not list; these tests read the manifests.

mod crates;
mod cycles;
mod ledger;
mod ports;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_tests::root;

use self::crates::MAY_DEPEND_ON;
use self::cycles::modules;

/// Other crates receive a clock, so that a test can set the time of day.
#[test]
fn only_landfall_creates_the_clock() {
    for (name, path, code) in crate_modules() {
        let is_definition = name == "model" && path == "clock";
        assert!(
            is_definition || !code.contains("Clock::System"),
            "host/{name}, {path}: only landfall names Clock::System; pass the clock in"
        );
    }
}

#[test]
fn mutexes_are_locked_by_one_function() {
    for (name, path, code) in crate_modules() {
        let is_definition = name == "model" && path == "lock";
        let without_space: String = code.split_whitespace().collect();
        assert!(
            is_definition || !without_space.contains(".lock().unwrap"),
            "host/{name}, {path}: use landfall_model::lock"
        );
    }
}

/// The pages that tell contributors which file to open.
#[test]
fn pages_name_existing_files() {
    let sources = files(&root().join("host"));
    for page in ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let code = text.split('`').skip(1).step_by(2);
        let is_file = |word: &&str| word.ends_with(".rs") || word.ends_with('/');
        let is_word = |word: &&str| !word.contains("NAME") && !word.contains([' ', '{']);
        for name in code.filter(is_file).filter(is_word) {
            let exists = root().join(name).exists()
                || root().join("host").join(name).exists()
                || sources.iter().any(|path| path.ends_with(name));
            assert!(exists, "{page} names {name}, which does not exist");
        }
    }
}

#[test]
fn the_top_level_is_as_agreed() {
    let agreed = "Cargo.toml Cargo.lock LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md \
                  Dockerfile rustfmt.toml clippy.toml deny.toml host sdk plugins wit tests docs target";
    let agreed: BTreeSet<&str> = agreed.split(' ').collect();
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || agreed.contains(name.as_str()),
            "{name} is not in the agreed top level"
        );
    }
}

/// README's first command is `cargo run`, which must not have to choose between two binaries.
#[test]
fn cargo_run_starts_landfall() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .expect("cargo is there");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let defaults = metadata["workspace_default_members"].as_array().unwrap();
    let targets = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| defaults.contains(&package["id"]))
        .flat_map(|package| package["targets"].as_array().unwrap());

    let binaries: Vec<&str> = targets
        .filter(|target| target["kind"][0] == "bin")
        .map(|target| target["name"].as_str().unwrap())
        .collect();
    assert_eq!(binaries, ["landfall"]);
}

/// A test that runs nothing says so through `landfall_tests::require`, which fails it in CI.
#[test]
fn skipped_tests_fail_in_ci() {
    let run = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(
        run.contains(&format!("export {}=1", landfall_tests::require::VARIABLE)),
        "{run}"
    );

    let says_skipped = ["\"skipped:", "\"skipping", "ignore]"];
    for path in files(&root().join("tests"))
        .into_iter()
        .chain(files(&root().join("host")))
    {
        if path.ends_with("tests/src/require.rs") || path.ends_with("tests/it/house.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let skips = says_skipped.iter().find(|word| text.contains(*word));
        assert!(
            skips.is_none(),
            "{}: {skips:?} belongs to landfall_tests::require",
            path.display()
        );
    }
}

struct Line {
    name: String,
    place: String,
    text: String,
}

/// Every line of code of the host, without comments.
fn lines() -> impl Iterator<Item = Line> {
    let host = root().join("host");
    let sources = std::fs::read_dir(&host)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("src"));
    sources
        .flat_map(|source| files(&source))
        .flat_map(move |path| {
            let within = path.strip_prefix(&host).unwrap().to_owned();
            let name = within
                .components()
                .next()
                .unwrap()
                .as_os_str()
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let numbered: Vec<(usize, String)> =
                text.lines().map(str::to_owned).enumerate().collect();
            numbered
                .into_iter()
                .filter(|(_, text)| !text.trim_start().starts_with("//"))
                .map(move |(number, text)| Line {
                    name: name.clone(),
                    place: format!("{}:{}", within.display(), number + 1),
                    text,
                })
        })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    files_ending(dir, "rs")
}

fn files_ending(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_ending(&path, ending),
            false => Vec::from_iter(
                path.extension()
                    .is_some_and(|found| found == ending)
                    .then_some(path),
            ),
        })
        .collect()
}

/// The crate, the module path and the code of each file of the host, without `landfall` and the
/// benchmark.
fn crate_modules() -> impl Iterator<Item = (&'static str, String, String)> {
    let crates = MAY_DEPEND_ON.iter().map(|(name, _)| *name);
    crates.filter(|name| *name != "bench").flat_map(|name| {
        let modules = modules(&root().join("host").join(name).join("src"));
        modules
            .into_iter()
            .map(move |(path, code)| (name, path, code))
    })
}
