//! The binary under test and the components it runs, each built once in a test process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{compiled, root};

/// The real binary, built as `cargo build` builds it.
pub fn landfall() -> &'static Path {
    &binaries().0
}

/// The load generator.
pub fn landfall_bench() -> &'static Path {
    &binaries().1
}

fn binaries() -> &'static (PathBuf, PathBuf) {
    static BINARIES: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    BINARIES.get_or_init(|| {
        let built = build_binaries();
        let find = |name: &str| {
            let found = built.iter().find(|path| path.ends_with(name));
            found.expect("the workspace has the binary").clone()
        };
        (find("landfall"), find("landfall-bench"))
    })
}

fn build_binaries() -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The whole workspace, so that features are unified as in `cargo test --workspace` and nothing is built twice.
    let mut command = Command::new(cargo);
    // Those of the test's own package would make a build script or two think that something has changed.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            command.env_remove(name);
        }
    }

    let output = command
        .args([
            "build",
            "--workspace",
            "--bins",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(root())
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "the binaries do not build");

    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from))
        .collect()
}

/// A bundled handler: `bundled("echo")`.
pub fn bundled(name: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| build("plugins", false));
    dir.join(format!("{name}.wasm"))
}

/// The directory of all bundled handlers with their machine code, for `--bundled`, as in the image.
pub fn bundle() -> PathBuf {
    let dir = bundled("echo").with_file_name("");
    let files = std::fs::read_dir(&dir).expect("the directory was built");
    let files = files.map(|file| file.expect("the directory can be read").path());
    for component in files.filter(|path| path.extension().is_some_and(|end| end == "wasm")) {
        compiled::compile(&component);
    }
    dir
}

/// A guest of tests/guests: `guest("loops")`.
pub fn guest(name: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| build("tests/guests", true));
    dir.join(format!("{}.wasm", name.replace('_', "-")))
}

fn build(sources: &str, examples: bool) -> PathBuf {
    let out = landfall()
        .with_file_name("components")
        .join(sources.replace('/', "-"));
    let mut command = Command::new(landfall());
    command
        .arg("build")
        .arg(root().join(sources))
        .arg("--out")
        .arg(&out);
    command.args(examples.then_some("--examples"));
    assert!(
        command.status().expect("the binary starts").success(),
        "{sources} does not build"
    );
    out
}

/// The bytes of a guest.
pub fn component(name: &str) -> Vec<u8> {
    std::fs::read(guest(name)).expect("the guest was built")
}
