//! Embeds the templates of handlers and the source of each SDK: every file becomes an entry of a table, so that a new file needs no
//! line here. What tools write into these directories is left out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Directories that tools write, and that are never embedded.
const WRITTEN: [&str; 6] = [
    "target",
    "node_modules",
    "__pycache__",
    ".venv",
    "build",
    "dist",
];

/// Directories of an SDK that only this repository needs.
const TESTS: [&str; 2] = ["test", "tests"];

/// The keys of a manifest that list dependencies.
const DEPENDENCIES: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

fn main() {
    let author = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = author.join("../..");
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));

    let mut rust = Files::default();
    rust.add(&root.join("sdk/Cargo.toml"), "landfall-sdk/Cargo.toml");
    rust.add_all(&root.join("sdk/src"), "landfall-sdk/src");
    rust.add_all(&root.join("sdk/macros"), "landfall-sdk/macros");
    rust.add_all(&root.join("wit"), "wit");
    let workspace = out.join("sdk-workspace.toml");
    std::fs::write(&workspace, sdk_workspace(&root)).expect("cargo's own folder is writable");
    // Not watched, because this script writes it.
    rust.0
        .push(("Cargo.toml".into(), workspace.display().to_string()));

    // These have a copy of the contract.
    let mut javascript = Files::default();
    javascript.add_all(&root.join("sdk/js"), "landfall-sdk");
    let mut python = Files::default();
    python.add_all(&root.join("sdk/python"), "landfall-sdk");

    let mut templates = Files::default();
    println!(
        "cargo:rerun-if-changed={}",
        author.join("templates").display()
    );
    templates.add_all(&author.join("templates"), "");

    let mut source = String::new();
    for (name, about, files) in [
        ("TEMPLATES", "The templates of handlers.", templates),
        ("RUST_SDK", "The Rust SDK, as a workspace of its own.", rust),
        (
            "JAVASCRIPT_SDK",
            "The SDK for TypeScript and JavaScript.",
            javascript,
        ),
        ("PYTHON_SDK", "The SDK for Python.", python),
    ] {
        writeln!(
            source,
            "/// {about}\npub(crate) static {name}: &[(&str, &[u8])] = &["
        )
        .expect("a string takes text");
        for (path, file) in files.0 {
            writeln!(source, "    ({path:?}, include_bytes!({file:?})),")
                .expect("a string takes text");
        }
        source.push_str("];\n");
    }
    let lock = root.join("plugins/Cargo.lock").display().to_string();
    println!("cargo:rerun-if-changed={lock}");
    writeln!(
        source,
        "/// The versions that the bundled handlers are built with.\npub(crate) static CARGO_LOCK: &str = include_str!({lock:?});"
    )
    .expect("a string takes text");
    std::fs::write(out.join("embedded.rs"), source).expect("cargo's own folder is writable");
}

/// Paths in the folder of a handler, and the files that are copied there.
#[derive(Default)]
struct Files(Vec<(String, String)>);

// === impl Files ===

impl Files {
    fn add(&mut self, file: &Path, path: &str) {
        println!("cargo:rerun-if-changed={}", file.display());
        self.0.push((path.to_owned(), file.display().to_string()));
    }

    /// Every file below a directory, sorted. A directory that does not exist has none.
    ///
    /// Cargo watches the files and not the directories, into which tests and tools write: a new file is found when one that uses it
    /// changes.
    fn add_all(&mut self, dir: &Path, prefix: &str) {
        let Ok(entries) = std::fs::read_dir(dir) else {
            return;
        };

        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("a readable folder").path())
            .collect();
        paths.sort();
        for path in paths {
            let name = path
                .file_name()
                .expect("a file has a name")
                .to_string_lossy();
            let inner = if prefix.is_empty() {
                name.to_string()
            } else {
                format!("{prefix}/{name}")
            };
            if path.is_file() && !name.ends_with(".pyc") {
                self.add(&path, &inner);
            } else if path.is_dir() && !is_skipped(&name, &inner) {
                self.add_all(&path, &inner);
            }
        }
    }
}

fn is_skipped(name: &str, path: &str) -> bool {
    let is_of_sdk = path.starts_with("landfall-sdk/");
    WRITTEN.contains(&name) || name.ends_with(".egg-info") || (is_of_sdk && TESTS.contains(&name))
}

/// The manifest of a workspace that has only the SDK: what its crates inherit from the workspace of the repository.
fn sdk_workspace(root: &Path) -> String {
    let manifest = |path: &str| -> Table {
        let text = std::fs::read_to_string(root.join(path)).expect("the manifest is there");
        text.parse().expect("the manifest is TOML")
    };
    let all = manifest("Cargo.toml");
    println!(
        "cargo:rerun-if-changed={}",
        root.join("Cargo.toml").display()
    );

    let mut inherited = Table::new();
    for path in ["sdk/Cargo.toml", "sdk/macros/Cargo.toml"] {
        let crate_manifest = manifest(path);
        let of_targets = crate_manifest.get("target").and_then(Value::as_table);
        let tables = of_targets
            .into_iter()
            .flat_map(|targets| targets.values().filter_map(Value::as_table))
            .chain([&crate_manifest]);
        for table in tables {
            for (name, wanted) in DEPENDENCIES
                .iter()
                .filter_map(|key| table.get(*key)?.as_table())
                .flatten()
            {
                if wanted.get("workspace").is_some() {
                    inherited.insert(name.clone(), all["workspace"]["dependencies"][name].clone());
                }
            }
        }
    }

    let mut workspace = Table::new();
    let members = ["landfall-sdk", "landfall-sdk/macros"].map(Value::from);
    workspace.insert("resolver".into(), "3".into());
    workspace.insert("members".into(), members.to_vec().into());
    workspace.insert("package".into(), all["workspace"]["package"].clone());
    workspace.insert("dependencies".into(), inherited.into());
    workspace.insert("lints".into(), all["workspace"]["lints"].clone());
    let text = Table::from_iter([("workspace".to_owned(), Value::from(workspace))]).to_string();
    format!(
        "# The part of Landfall that handlers in Rust are built with. `landfall new` wrote it; replace the whole folder to update it.\n{text}"
    )
}
