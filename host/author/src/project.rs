//! What a handler's folder is: its language, the name of its hook, and where its component is
//! built.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::hook_files;
use landfall_config::is_tool_file;
use landfall_model::HookName;

/// A language that handlers are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Built by `cargo`.
    Rust,
    /// Built by `npm run build`, and checked by `tsc`.
    TypeScript,
    /// Built by `npm run build`.
    JavaScript,
    /// Built by `python -m landfall_sdk.build`.
    Python,
}

/// Each language with its file: the first that is in a folder decides.
const MANIFESTS: [(&str, Language); 3] = [
    ("Cargo.toml", Language::Rust),
    ("package.json", Language::JavaScript),
    ("pyproject.toml", Language::Python),
];

/// The longest name that npm, PyPI and hooks all accept.
const NAME_MAX: usize = 64;

/// Names that a crate cannot have, or that Python and JavaScript use. A name whose hook file would
/// be that of a tool is refused too.
const RESERVED: [&str; 12] = [
    "test",
    "core",
    "std",
    "alloc",
    "proc-macro",
    "landfall-sdk",
    "landfall",
    "build",
    "vendor",
    "handler",
    "node-modules",
    "landfall-sdk-macros",
];

/// A handler's folder.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// The language of the handler.
    pub language: Language,
    /// The name of the handler and of its component: `build/NAME.wasm`.
    pub name: String,
    /// The name of the hook and of its file: `HOOK.toml`. By default that of the handler.
    pub hook: String,
}

// === impl Language ===

impl Language {
    /// Every language, in the order in which they are listed.
    pub const ALL: [Language; 4] = [
        Language::Rust,
        Language::TypeScript,
        Language::JavaScript,
        Language::Python,
    ];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::TypeScript => "ts",
            Language::JavaScript => "js",
            Language::Python => "python",
        }
    }

    /// One line for a list.
    pub fn about(self) -> &'static str {
        match self {
            Language::Rust => "Rust: the smallest and fastest components; needs cargo",
            Language::TypeScript => {
                "TypeScript on QuickJS, checked by tsc; needs Node.js 20.6 or newer"
            }
            Language::JavaScript => "JavaScript on QuickJS; needs Node.js 20.6 or newer",
            Language::Python => "Python on CPython; needs Python 3.11 or newer",
        }
    }

    /// The file that names the handler.
    fn manifest(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::TypeScript | Language::JavaScript => "package.json",
            Language::Python => "pyproject.toml",
        }
    }

    /// What is wrong with a folder whose file names no handler.
    fn without_name(self) -> &'static str {
        match self {
            Language::Rust => " is a cargo workspace: name the folder of one handler",
            Language::TypeScript | Language::JavaScript => {
                "/package.json has no \"name\": write that of the hook file, without .toml"
            }
            Language::Python => {
                "/pyproject.toml has no `name` under [project]: write that of the hook file, without .toml"
            }
        }
    }

    /// The directory of its templates.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::TypeScript => "typescript",
            Language::JavaScript => "javascript",
            Language::Python => "python",
        }
    }

    /// The file that its author edits.
    pub fn source(self) -> &'static str {
        match self {
            Language::Rust => "src/lib.rs",
            Language::TypeScript => "src/handler.ts",
            Language::JavaScript => "src/handler.js",
            Language::Python => "handler.py",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(word: &str) -> Result<Language, String> {
        match word.to_ascii_lowercase().as_str() {
            "rust" | "rs" => Ok(Language::Rust),
            "ts" | "typescript" => Ok(Language::TypeScript),
            "js" | "javascript" => Ok(Language::JavaScript),
            "python" | "py" => Ok(Language::Python),
            _ => Err("the languages are rust, ts, js and python".into()),
        }
    }
}

// === impl Project ===

impl Project {
    /// The handler's folder `dir`: it has the file of a language, and a hook file. `None` for any
    /// other folder of sources, such as a cargo workspace of several handlers.
    pub fn find(dir: &Path) -> anyhow::Result<Option<Project>> {
        let Some((language, name)) = language_and_name(dir)? else {
            return Ok(None);
        };
        if name.parse::<HookName>().is_err() {
            return Ok(None);
        }
        let hooks = hook_files::hooks(dir, &name);
        let own = hooks.iter().find(|hook| **hook == name);
        let Some(hook) = own.or(hooks.first()).cloned() else {
            return Ok(None);
        };

        let dir = dir
            .canonicalize()
            .with_context(|| format!("{} cannot be found", dir.display()))?;
        Ok(Some(Project {
            dir,
            language,
            name,
            hook,
        }))
    }

    /// The same folder with the hook that is served. `chosen` is its name or its file. Without it,
    /// the folder must have only one.
    pub fn choose_hook(self, chosen: Option<&Path>) -> anyhow::Result<Project> {
        let hooks = hook_files::hooks(&self.dir, &self.name);
        let hook = hook_files::choose(&self.dir, &hooks, chosen)?;
        Ok(Project { hook, ..self })
    }

    /// As `find`. The error says what the folder lacks.
    pub fn open(dir: &Path) -> anyhow::Result<Project> {
        if let Some(project) = Project::find(dir)? {
            return Ok(project);
        }

        let shown = dir.display();
        let Some((language, name)) = language_and_name(dir)? else {
            bail!("{}", no_sources(dir));
        };
        if name.is_empty() {
            bail!("{shown}{}", language.without_name());
        }
        if let Err(error) = name.parse::<HookName>() {
            let manifest = language.manifest();
            bail!("{shown}: {error}; change the name in {manifest}");
        }
        bail!(
            "{shown} has no hook file {name}.toml: `landfall new {name}` writes one beside the sources of a new handler"
        )
    }

    /// Fails if the folder has had another name since it was opened: a build would write another
    /// component.
    pub(crate) fn ensure_same_name(&self) -> anyhow::Result<()> {
        let now = language_and_name(&self.dir)?.map(|(_, name)| name);
        let now = now.unwrap_or_default();
        let (before, manifest) = (&self.name, self.language.manifest());
        let change = if self.hook == self.name {
            format!("rename {before}.toml to {now}.toml")
        } else {
            format!("write component = \"{now}.wasm\" into {}.toml", self.hook)
        };
        ensure!(
            now == *before,
            "{manifest} now names the handler `{now}`: {change} and start the command again, or keep `{before}`"
        );
        Ok(())
    }

    /// The hook file.
    pub fn hook_file(&self) -> PathBuf {
        self.dir.join(format!("{}.toml", self.hook))
    }

    /// The component that a build writes.
    pub fn component(&self) -> PathBuf {
        self.dir.join("build").join(format!("{}.wasm", self.name))
    }
}

/// The error for a folder without a file of a language.
pub(crate) fn no_sources(dir: &Path) -> String {
    format!(
        "{} has no Cargo.toml, package.json or pyproject.toml: name the folder of a handler",
        dir.display()
    )
}

/// The language of a folder, and the name that its file gives. The name of a workspace is empty.
fn language_and_name(dir: &Path) -> anyhow::Result<Option<(Language, String)>> {
    let found = MANIFESTS.iter().find(|(file, _)| dir.join(file).is_file());
    let Some((file, language)) = found else {
        return Ok(None);
    };

    let path = dir.join(file);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let wrong = || format!("{} cannot be parsed", path.display());
    let name = match language {
        Language::Python => {
            let table: toml::Table = text.parse().with_context(wrong)?;
            table
                .get("project")
                .and_then(|project| project.get("name")?.as_str().map(str::to_owned))
        }
        Language::Rust => {
            let table: toml::Table = text.parse().with_context(wrong)?;
            table
                .get("package")
                .and_then(|package| package.get("name")?.as_str().map(str::to_owned))
        }
        Language::TypeScript | Language::JavaScript => {
            let json: Value = serde_json::from_str(&text).with_context(wrong)?;
            Some(unscoped(json["name"].as_str().unwrap_or_default()).to_owned())
        }
    };
    let is_typescript = *language == Language::JavaScript && dir.join("tsconfig.json").is_file();
    let language = if is_typescript {
        Language::TypeScript
    } else {
        *language
    };
    Ok(Some((language, name.unwrap_or_default())))
}

/// `pushes` of `@acme/pushes`. The SDK names the component in the same way.
fn unscoped(package: &str) -> &str {
    let scoped = package
        .strip_prefix('@')
        .and_then(|scoped| scoped.split_once('/'));
    scoped.map_or(package, |(_, name)| name)
}

/// Checks the name of a new handler: that of a hook, a crate, an npm package and a Python project.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    let parsed: Result<HookName, _> = name.parse();
    parsed?;
    ensure!(
        name.len() <= NAME_MAX && name.starts_with(|first: char| first.is_ascii_lowercase()),
        "`{name}` cannot name a handler: begin with a letter from a to z, because a crate and a module have the name too"
    );
    ensure!(
        name.ends_with(|last: char| last.is_ascii_alphanumeric()),
        "`{name}` cannot name a handler: end with a letter or a digit"
    );
    let is_reserved = RESERVED.contains(&name.replace('_', "-").as_str());
    ensure!(
        !is_reserved && !is_tool_file(&format!("{name}.toml")),
        "`{name}` cannot name a handler: a tool uses this name; choose another one, such as `my-{name}`"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_every_tool() {
        for good in ["pushes", "github-push", "a_1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Push",
            "1st",
            "_x",
            "a-",
            "test",
            "core",
            "cargo",
            "manifest",
            "pyproject",
            "rust-toolchain",
            "a b",
            "../a",
            &"a".repeat(65),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_decide_the_language() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        assert!(
            Project::open(dir.path())
                .unwrap_err()
                .to_string()
                .contains("has no Cargo.toml")
        );

        put("pyproject.toml", "[project]\nname = \"snake\"\n");
        assert!(Project::find(dir.path()).unwrap().is_none(), "no hook file");
        put("snake.toml", "");
        assert_eq!(
            Project::open(dir.path()).unwrap().language,
            Language::Python
        );

        put("package.json", "{\"name\": \"@acme/snake\"}");
        assert_eq!(
            Project::open(dir.path()).unwrap().language,
            Language::JavaScript
        );
        put("tsconfig.json", "{}");
        assert_eq!(
            Project::open(dir.path()).unwrap().language,
            Language::TypeScript
        );

        for (name, error) in [
            ("{}", "/package.json has no \"name\""),
            ("{\"name\": \"a.b\"}", "change the name in package.json"),
            ("{\"name\": \"@me/other\"}", "has no hook file other.toml"),
        ] {
            put("package.json", name);
            let found = Project::open(dir.path()).unwrap_err().to_string();
            assert!(found.contains(error), "{name}: {found}");
        }
        put("package.json", "{\"name\": \"@me/snake\"}");
        let scoped = Project::open(dir.path()).unwrap();
        assert_eq!(scoped.name, "snake");
        assert!(scoped.ensure_same_name().is_ok());
        put("package.json", "{\"name\": \"viper\"}");
        let error = scoped.ensure_same_name().unwrap_err().to_string();
        assert!(error.contains("rename snake.toml to viper.toml"), "{error}");

        put("Cargo.toml", "[workspace]\n");
        let error = Project::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is a cargo workspace"), "{error}");
        put("Cargo.toml", "[package]\nname = \"crab\"\n");
        let error = Project::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has no hook file crab.toml"), "{error}");
    }
}
