//! The fuzz targets without a fuzzer, on stable Rust: every input of the corpus, then random changes of them. The short form makes a fixed
//! number of changes. `LANDFALL_LONG=1`: 60 s for each target. `LANDFALL_SEED` repeats a run.
//!
//! An input that fails is written to a file. Add it to `tests/fuzz/corpus/TARGET/` with the correction, so that it is tried again.

#[path = "targets/check.rs"]
mod check;
#[path = "targets/component.rs"]
mod component;
#[path = "targets/envelope.rs"]
mod envelope;
#[path = "targets/hook_file.rs"]
mod hook_file;
#[path = "targets/manifest.rs"]
mod manifest;
#[path = "targets/pack.rs"]
mod pack;
#[path = "targets/shape.rs"]
mod shape;
#[path = "targets/template.rs"]
mod template;

use std::panic::{RefUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use landfall_tests::changes::change;
use landfall_tests::faults::{Random, is_long};
use landfall_tests::{guest, root};

const LONG: Duration = Duration::from_secs(60);

/// Runs a target with its corpus and these inputs, then with changes of them.
fn fuzz(name: &str, changes: usize, more: Vec<Vec<u8>>, run: impl Fn(&[u8]) + RefUnwindSafe) {
    let mut inputs = corpus(&root().join("tests/fuzz/corpus").join(name));
    assert!(!inputs.is_empty(), "{name} has a corpus");
    inputs.extend(more);
    for input in &inputs {
        try_one(name, input, &run);
    }

    let mut random = Random::seeded();
    let (started, mut count) = (Instant::now(), 0);
    while count < changes || (is_long() && started.elapsed() < LONG) {
        let input = &inputs[random.below(inputs.len())];
        let other = &inputs[random.below(inputs.len())];
        try_one(name, &change(input, other, &mut random), &run);
        count += 1;
    }
    println!("{name}: {} inputs, {count} changes", inputs.len());
}

/// Writes an input that fails to a file.
fn try_one(name: &str, input: &[u8], run: &(impl Fn(&[u8]) + RefUnwindSafe)) {
    if let Err(failure) = catch_unwind(|| run(input)) {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        std::fs::write(&file, input).expect("the target directory is writable");
        println!("the input that fails: {}", file.display());
        resume_unwind(failure);
    }
}

/// The files of a directory, in the order of their names.
fn corpus(dir: &Path) -> Vec<Vec<u8>> {
    let read = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = read
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of the bundled handlers that end like this.
fn of_handlers(ending: &str) -> Vec<Vec<u8>> {
    let handlers = std::fs::read_dir(root().join("plugins")).expect("the handlers are there");
    let mut dirs: Vec<PathBuf> = handlers
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.is_dir())
        .collect();
    dirs.sort();
    dirs.iter()
        .map(|dir| {
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            dir.join(ending.replace("NAME", &name))
        })
        .filter(|path| path.is_file())
        .map(|path| read_file(&path))
        .collect()
}

#[test]
fn requests_without_secret_are_refused() {
    fuzz("check", 3000, Vec::new(), check::run);
}

#[test]
fn components_are_inspected_or_refused() {
    let guests = ["answers_one", "plain"].map(|name| read_file(&guest(name)));
    fuzz("component", 300, guests.into(), component::run);
}

#[test]
fn envelopes_are_read_or_refused() {
    fuzz("envelope", 3000, envelope::seeds(), envelope::run);
}

#[test]
fn hook_files_are_read_or_refused() {
    fuzz("hook_file", 3000, of_handlers("NAME.toml"), hook_file::run);
}

#[test]
fn manifests_are_read_or_refused() {
    let manifests = of_handlers("manifest.toml");
    fuzz("manifest", 3000, manifests, manifest::run);
}

#[test]
fn packs_are_read_or_refused() {
    let packs = corpus(&root().join("host/verify/src/packs"));
    fuzz("pack", 2000, packs, pack::run);
}

#[test]
fn bodies_are_learned_within_bounds() {
    fuzz("shape", 2000, Vec::new(), shape::run);
}

#[test]
fn templates_are_read_or_refused() {
    fuzz("template", 3000, Vec::new(), template::run);
}
