//! The target of Rust handlers: without WASI, unless `Cargo.toml` says otherwise.

use std::path::Path;

use super::{empty_folder, landfall_in, new_handler, said, succeeds};

/// Asks `std` for what only WASI has.
const ASKS_STD: &str = r#"
use landfall_sdk::{Event, Failure, handler, log};

#[handler]
pub fn handle(_: Event) -> Result<String, Failure> {
    let level = std::env::var("LEVEL").unwrap_or("unset".into());
    log::info(format!("level {level}"));
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(format!("{} s", since.as_secs()))
}
"#;

const PLAIN: &str = "target = \"wasm32-unknown-unknown\"";
const WASI: &str = "target = \"wasm32-wasip2\"";

/// Replaces the target in the `Cargo.toml` of a folder.
fn choose(folder: &Path, target: &str) {
    let path = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(PLAIN), "{text}");
    std::fs::write(path, text.replace(PLAIN, target)).unwrap();
}

#[test]
fn new_rust_handlers_need_no_wasi() {
    let dir = empty_folder("target");
    let folder = new_handler(&dir, "plain", "rust", &["--provider", "github"]);
    let receipt = succeeds(&folder, &["build"]);
    assert!(
        receipt.contains("target   wasm32-unknown-unknown, without WASI: std has no clock"),
        "{receipt}"
    );
    assert!(
        receipt.contains("memory   512.0 KiB") && !receipt.contains("interfaces of WASI"),
        "{receipt}"
    );

    choose(&folder, WASI);
    let receipt = succeeds(&folder, &["build"]);
    assert!(
        receipt.contains("target   wasm32-wasip2, with WASI")
            && receipt.contains("interfaces of WASI"),
        "{receipt}"
    );
}

#[test]
fn std_without_wasi_names_the_target() {
    let dir = empty_folder("clock");
    let folder = new_handler(&dir, "clock", "rust", &["--provider", "github"]);
    std::fs::write(folder.join("src/lib.rs"), ASKS_STD).unwrap();
    let hook_file = folder.join("clock.toml");
    let text = std::fs::read_to_string(&hook_file).unwrap();
    std::fs::write(hook_file, text + "\n[environment]\nLEVEL = \"debug\"\n").unwrap();

    let invoke = ["invoke", "build/clock.wasm", "--event", "samples/push.json"];
    succeeds(&folder, &["build"]);
    let output = landfall_in(&folder, &invoke);
    let printed = said(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    for words in [
        "outcome  trap",
        "time not implemented on this platform",
        "write target = \"wasm32-wasip2\" under [package.metadata.landfall] in Cargo.toml",
        "level unset",
    ] {
        assert!(printed.contains(words), "no {words:?} in {printed}");
    }

    choose(&folder, WASI);
    succeeds(&folder, &["build"]);
    let printed = succeeds(&folder, &invoke);
    assert!(
        printed.contains("outcome  done") && printed.contains("level debug"),
        "{printed}"
    );
}

#[test]
fn the_folder_names_the_linker() {
    let dir = empty_folder("linker");
    let folder = new_handler(&dir, "unlinked", "rust", &[]);
    let settings = folder.join(".cargo/config.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let without = text.replace("linker = \"wasm-component-ld\"\n", "");
    assert_ne!(without, text);
    std::fs::write(settings, without).unwrap();
    let output = landfall_in(&folder, &["build"]);
    let printed = said(&output);
    assert!(
        !output.status.success() && printed.contains("write linker = \"wasm-component-ld\" under"),
        "{printed}"
    );
}

#[test]
fn other_targets_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = new_handler(dir.path(), "mine", "rust", &[]);
    choose(&folder, "target = \"wasm32-wasip1\"");
    let printed = said(&landfall_in(&folder, &["build"]));
    assert!(
        printed.contains("expected `wasm32-unknown-unknown` or `wasm32-wasip2`"),
        "{printed}"
    );
}
