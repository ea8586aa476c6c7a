//! The handler of `languages` in each language and the one of `neighbours`, made as an author makes
//! one: `landfall new`, an edit and `landfall build`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::ValueEnum;

/// The target that `landfall new` writes into Cargo.toml, and the one with WASI.
const WITHOUT_WASI: &str = "\"wasm32-unknown-unknown\"";
const WITH_WASI: &str = "\"wasm32-wasip2\"";

/// A language, or a way to build one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust for wasm32-wasip2.
    Rust,
    /// Rust for wasm32-unknown-unknown, which imports only the contract: what `landfall new` writes.
    RustWithoutWasi,
    /// JavaScript on QuickJS. TypeScript becomes the same.
    Javascript,
    /// Python on CPython.
    Python,
    /// Python with a template that the handler compiles.
    PythonTemplates,
    /// The same, with an `init` that has compiled it.
    PythonTemplatesInit,
}

// === impl Language ===

impl Language {
    /// In a table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Language::Rust => "Rust with WASI",
            Language::RustWithoutWasi => "Rust without WASI",
            Language::Javascript => "TypeScript, JavaScript",
            Language::Python => "Python",
            Language::PythonTemplates => "Python with a template engine",
            Language::PythonTemplatesInit => "Python with a template engine, with init",
        }
    }

    /// The word of `--only`, which is also the name of the handler.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::RustWithoutWasi => "rust-without-wasi",
            Language::Javascript => "javascript",
            Language::Python => "python",
            Language::PythonTemplates => "python-templates",
            Language::PythonTemplatesInit => "python-templates-init",
        }
    }

    /// The `--lang` of `landfall new`.
    fn template(self) -> &'static str {
        match self {
            Language::Rust | Language::RustWithoutWasi => "rust",
            Language::Javascript => "js",
            Language::Python | Language::PythonTemplates | Language::PythonTemplatesInit => {
                "python"
            }
        }
    }

    /// The packages that it needs beside the SDK, as lines of requirements.txt.
    fn packages(self) -> Option<&'static str> {
        match self {
            Language::PythonTemplates | Language::PythonTemplatesInit => Some("jinja2==3.1.6\n"),
            _ => None,
        }
    }

    /// The file of the handler in its folder, and its text.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Language::Rust | Language::RustWithoutWasi => {
                ("src/lib.rs", include_str!("../handlers/handler.rs"))
            }
            Language::Javascript => ("src/handler.js", include_str!("../handlers/handler.js")),
            Language::Python => ("handler.py", include_str!("../handlers/handler.py")),
            Language::PythonTemplates => ("handler.py", include_str!("../handlers/templates.py")),
            Language::PythonTemplatesInit => {
                ("handler.py", include_str!("../handlers/templates_init.py"))
            }
        }
    }
}

/// Makes the handler in a folder below `dir`. Returns the path of its component, `out/WORD.wasm`.
pub(crate) fn build(
    landfall: &Path,
    language: Language,
    dir: &Path,
    out: &Path,
) -> anyhow::Result<PathBuf> {
    let name = language.word();
    let mut new = Command::new(landfall);
    new.args(["new", name, "--lang", language.template()]);
    run(new.current_dir(dir), language.title())?;

    let folder = dir.join(name);
    let (file, text) = language.source();
    std::fs::write(folder.join(file), text)?;

    if let Some(packages) = language.packages() {
        let path = folder.join("requirements.txt");
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(path, text + packages)?;
    }

    if language == Language::Rust {
        let path = folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&path)?;
        ensure!(
            text.contains(WITHOUT_WASI),
            "the Cargo.toml of `landfall new` does not name {WITHOUT_WASI}: this benchmark and {} are of different versions",
            landfall.display()
        );
        std::fs::write(path, text.replace(WITHOUT_WASI, WITH_WASI))?;
    }

    let mut build = Command::new(landfall);
    build.args(["build", "--install"]).current_dir(&folder);
    run(&mut build, language.title())?;
    let built = folder.join("build").join(name).with_extension("wasm");

    std::fs::create_dir_all(out)?;
    let component = out.join(name).with_extension("wasm");
    std::fs::copy(&built, &component)
        .with_context(|| format!("{} cannot be read", built.display()))?;
    Ok(component)
}

/// Makes a handler that computes for about 0.4 ms. Returns the path of its component.
pub(crate) fn build_busy(landfall: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    let title = "the busy handler";
    let mut new = Command::new(landfall);
    new.args(["new", "busy", "--lang", "rust"]);
    run(new.current_dir(dir), title)?;

    let folder = dir.join("busy");
    let source = include_str!("../handlers/busy.rs");
    std::fs::write(folder.join("src/lib.rs"), source)?;
    let mut build = Command::new(landfall);
    run(build.arg("build").current_dir(&folder), title)?;
    Ok(folder.join("build/busy.wasm"))
}

/// Runs a command to its end. Only its errors are shown: standard output is for the report.
fn run(command: &mut Command, title: &str) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let words: Vec<String> = command
        .get_args()
        .map(|word| word.display().to_string())
        .collect();
    let shown = format!("{program} {}", words.join(" "));

    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("`{shown}` does not start"))?;
    ensure!(
        status.success(),
        "{title} is not measured, because `{shown}` failed: see above",
    );
    Ok(())
}
