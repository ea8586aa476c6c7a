//! Components in TypeScript, Python, C and Zig (`tests/guests/typescript`, `python`, `c`, `zig`), built with the tools that authors of
//! these languages use. `.ci/run sdks` installs the tools in the folder that `LANDFALL_SDK` names.
//!
//! A build takes seconds to a minute, so components are kept in that folder. The name of a file has a hash of everything that the
//! component is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;
use wit_component::{ComponentEncoder, StringEncoding};

use crate::guest;
use crate::require::missing;
use crate::root;

/// The name of the component, of its world and of its source file in each language.
const WORLD: &str = "contract-cases";

/// Components that no test has used for this long are deleted.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A language that components are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// The compiler is `cargo`.
    Rust,
    /// QuickJS, by `jco componentize`. The source is checked by `tsc` with the types that jco generates.
    TypeScript,
    /// CPython, by `componentize-py`.
    Python,
    /// The compiler is `zig cc`, the bindings are those of wit-bindgen.
    C,
    /// The bindings are those of C, by `zig translate-c`.
    Zig,
}

impl Language {
    /// Every language in which `contract_cases` is written.
    pub const ALL: [Language; 5] = [
        Language::Rust,
        Language::TypeScript,
        Language::Python,
        Language::C,
        Language::Zig,
    ];

    fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::TypeScript => "typescript",
            Language::Python => "python",
            Language::C => "c",
            Language::Zig => "zig",
        }
    }

    /// What the language needs: programs in the folder of the tools.
    fn tools(self) -> &'static [&'static str] {
        match self {
            Language::Rust => &[],
            Language::TypeScript => &[JCO, TSC],
            Language::Python => &[COMPONENTIZE_PY],
            Language::C | Language::Zig => &[ZIG],
        }
    }
}

const JCO: &str = "node_modules/.bin/jco";
const TSC: &str = "node_modules/.bin/tsc";
const COMPONENTIZE_PY: &str = "venv/bin/componentize-py";
const ZIG: &str = "venv/bin/python-zig";

/// Packages whose versions decide what is built, beside the programs themselves.
const JS_ENGINE: &str = "node_modules/componentize-qjs/package.json";

/// The component `contract_cases` of a language. None if a tool is not installed; with `LANDFALL_REQUIRE_ALL=1` that fails the
/// test.
pub fn contract_cases(language: Language) -> Option<PathBuf> {
    static BUILT: [OnceLock<Option<PathBuf>>; 5] = [const { OnceLock::new() }; 5];
    BUILT[language as usize]
        .get_or_init(|| match language {
            Language::Rust => Some(guest("contract_cases")),
            _ => build(language),
        })
        .clone()
        .inspect(|component| crate::compiled::compile(component))
}

fn build(language: Language) -> Option<PathBuf> {
    let tools = installed(language)?;

    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(
        &root().join("tests/guests").join(language.name()),
        folder.path(),
    );
    copy(&root().join("wit"), &folder.path().join("wit/deps"));
    if matches!(language, Language::C | Language::Zig) {
        c_bindings(folder.path());
    }

    let kept = tools.join("components");
    std::fs::create_dir_all(&kept).expect("the folder of the tools is writable");
    let component = kept.join(format!(
        "{WORLD}-{}-{}.wasm",
        language.name(),
        hash(language, &tools, folder.path())
    ));
    if let Ok(file) = std::fs::File::options().append(true).open(&component) {
        file.set_modified(SystemTime::now()).ok();
        return Some(component);
    }

    remove_unused(&kept);
    let built = folder.path().join("component.wasm");
    match language {
        Language::Rust => unreachable!("cargo builds it"),
        Language::TypeScript => typescript(&tools, folder.path()),
        Language::Python => python(&tools, folder.path()),
        Language::C => c(&tools, folder.path()),
        Language::Zig => zig(&tools, folder.path()),
    }
    // Another process may build the same: the file appears as a whole.
    let unfinished = kept.join(format!("{}.{}", language.name(), std::process::id()));
    std::fs::copy(built, &unfinished).expect("the component was built");
    std::fs::rename(unfinished, &component).expect("a folder of one file system");
    Some(component)
}

/// The folder of the tools, if it has those of the language.
fn installed(language: Language) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("LANDFALL_SDK").map(PathBuf::from) else {
        missing(
            "LANDFALL_SDK names no folder with the tools for TypeScript, Python, C and Zig (.ci/run sdks)",
        );
        return None;
    };
    for tool in language.tools() {
        if !folder.join(tool).exists() {
            missing(&format!(
                "{language:?} components cannot be built, because {tool} is not in LANDFALL_SDK = {} (.ci/run sdks)",
                folder.display()
            ));
            return None;
        }
    }
    Some(folder)
}

// === Each language ===

fn typescript(tools: &Path, folder: &Path) {
    let jco = tools.join(JCO);
    run(Command::new(&jco)
        .args(["guest-types", "wit", "-n", WORLD, "-o", "types"])
        .current_dir(folder));
    run(Command::new(tools.join(TSC))
        .args(["-p", "."])
        .current_dir(folder));
    // jco finds the source only if it is in the folder that jco runs in.
    run(Command::new(&jco)
        .args(["componentize", "contract_cases.ts", "--wit", "wit"])
        .args(["-n", WORLD, "-o", "component.wasm"])
        .args(["--backend", "qjs", "--backend-qjs-disable-async"])
        .current_dir(folder));
}

fn python(tools: &Path, folder: &Path) {
    run(Command::new(tools.join(COMPONENTIZE_PY))
        .args(["-d", "wit", "-w", WORLD, "componentize", "contract_cases"])
        .args(["-o", "component.wasm"])
        .current_dir(folder));
}

fn c(tools: &Path, folder: &Path) {
    run(python_zig(tools, folder)
        .args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor"])
        .args(["-Os", "-Wall", "-Werror", "-Wl,--strip-all"])
        .args(["contract_cases.c", "json.c", "bindings.c"])
        .args(["bindings_component_type.o", "-o", "core.wasm"]));
    encode(folder);
}

fn zig(tools: &Path, folder: &Path) {
    let bindings = run(python_zig(tools, folder)
        .args(["translate-c", "-target", "wasm32-wasi", "-lc"])
        .arg("bindings.h"));
    std::fs::write(folder.join("bindings.zig"), bindings).expect("a writable folder");
    run(python_zig(tools, folder)
        .args(["build-exe", "-target", "wasm32-wasi"])
        .args(["-mexec-model=reactor", "-lc", "-OReleaseSmall", "-fstrip"])
        .args(["contract_cases.zig", "bindings.c"])
        .args(["bindings_component_type.o", "-femit-bin=core.wasm"]));
    encode(folder);
}

fn python_zig(tools: &Path, folder: &Path) -> Command {
    let mut command = Command::new(tools.join(ZIG));
    command
        .env("ZIG_GLOBAL_CACHE_DIR", tools.join("zig-cache"))
        .env("ZIG_LOCAL_CACHE_DIR", folder.join("zig-cache"))
        .current_dir(folder);
    command
}

/// `component.wasm`, made of `core.wasm`.
fn encode(folder: &Path) {
    let core = std::fs::read(folder.join("core.wasm")).expect("zig wrote it");
    let component = ComponentEncoder::default()
        .module(&core)
        .and_then(|encoder| encoder.validate(true).encode())
        .expect("the module has the type of its component");
    std::fs::write(folder.join("component.wasm"), component).expect("a writable folder");
}

/// What `wit-bindgen c` writes: `bindings.c`, `bindings.h` and `bindings_component_type.o`.
fn c_bindings(folder: &Path) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(folder.join("wit"))
        .expect("wit/ can be parsed");
    let world = resolve
        .select_world(&[package], Some(WORLD))
        .expect("wit/world.wit has the world");

    let options = wit_bindgen_c::Opts {
        rename_world: Some("bindings".into()),
        string_encoding: StringEncoding::UTF8,
        ..Default::default()
    };
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .expect("wit-bindgen has bindings for every type of the contract");
    for (name, bytes) in files.iter() {
        std::fs::write(folder.join(name), bytes).expect("a writable folder");
    }
}

// === Helpers ===

/// Runs a tool and returns what it prints, which is shown only if it fails.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let program = command.get_program().to_owned();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    assert!(
        output.status.success(),
        "{} ends with {}:\n{}{}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Of the sources and the contract in `folder`, the versions of the tools, and the commands in this file.
fn hash(language: Language, tools: &Path, folder: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(include_bytes!("languages.rs"));
    for (path, bytes) in files(folder) {
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    for tool in language.tools() {
        let mut command = Command::new(tools.join(tool));
        command.arg(if *tool == ZIG { "version" } else { "--version" });
        hash.update(command.output().expect("the tool starts").stdout);
    }
    if language == Language::TypeScript {
        hash.update(std::fs::read(tools.join(JS_ENGINE)).expect("jco needs it"));
    }
    hex::encode(&hash.finalize()[..8])
}

pub(crate) fn remove_unused(kept: &Path) {
    let entries = std::fs::read_dir(kept).expect("the folder was made");
    for entry in entries.flatten() {
        let modified = entry.metadata().and_then(|file| file.modified());
        let age = modified.map(|at| at.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age > KEPT) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    write(&files(from), to);
}

/// Writes files below a folder, by their paths in it.
pub(crate) fn write(files: &BTreeMap<PathBuf, Vec<u8>>, to: &Path) {
    for (path, bytes) in files {
        let path = to.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .expect("a writable folder");
        std::fs::write(path, bytes).expect("a writable folder");
    }
}

/// Every file below a folder, by its path in it.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder of the repository") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("a readable file");
                let path = path.strip_prefix(folder).expect("a path below the folder");
                found.insert(path.to_owned(), bytes);
            }
        }
    }
    found
}
