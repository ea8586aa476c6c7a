//! Handlers that are written with the SDKs for TypeScript and Python (`sdk/js`, `sdk/python`), built with the SDKs' own commands.
//! The tools are in the folder that `LANDFALL_SDK` names, as for the components of [`languages`](crate::languages).

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::compiled;
use crate::languages::{copy, files, remove_unused, write};
use crate::require::missing;
use crate::root;

/// An SDK that is not Rust's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// `sdk/js`.
    TypeScript,
    /// `sdk/python`.
    Python,
}

/// Packages that `landfall-build` needs.
const PACKAGES: [&str; 4] = ["@andreiltd", "@esbuild", "componentize-qjs", "esbuild"];

impl Sdk {
    /// Both.
    pub const ALL: [Sdk; 2] = [Sdk::TypeScript, Sdk::Python];

    fn name(self) -> &'static str {
        match self {
            Sdk::TypeScript => "typescript",
            Sdk::Python => "python",
        }
    }

    /// The folder of the SDK.
    pub fn source(self) -> PathBuf {
        root().join(match self {
            Sdk::TypeScript => "sdk/js",
            Sdk::Python => "sdk/python",
        })
    }

    /// The folder of the tools, if it has those of the SDK. With `LANDFALL_REQUIRE_ALL=1`, a missing one fails the test.
    fn tools(self) -> Option<PathBuf> {
        let tools = PathBuf::from(std::env::var_os("LANDFALL_SDK").unwrap_or_default());
        let needed: &[&str] = match self {
            Sdk::TypeScript => &[
                "node_modules/componentize-qjs",
                "node_modules/esbuild",
                "node_modules/.bin/tsc",
            ],
            Sdk::Python => &["venv/bin/componentize-py"],
        };
        for tool in needed {
            if !tools.join(tool).exists() {
                missing(&format!(
                    "handlers in {self:?} cannot be built, because {tool} is not in LANDFALL_SDK (.ci/run sdks)"
                ));
                return None;
            }
        }
        Some(tools)
    }
}

/// The folder of a handler, as an author has it, with the SDK and its tools installed.
pub struct SdkFolder {
    sdk: Sdk,
    tools: PathBuf,
    folder: tempfile::TempDir,
}

// === impl SdkFolder ===

impl SdkFolder {
    /// An empty folder. None if a tool is not installed.
    pub fn new(sdk: Sdk) -> Option<SdkFolder> {
        let tools = sdk.tools()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        if sdk == Sdk::TypeScript {
            let installed = folder.path().join("vendor/landfall-sdk");
            copy(&sdk.source(), &installed);
            let modules = folder.path().join("node_modules");
            std::fs::create_dir(&modules).expect("a new folder");
            symlink(installed, modules.join("landfall-sdk")).expect("a writable folder");
            for package in PACKAGES {
                symlink(
                    tools.join("node_modules").join(package),
                    modules.join(package),
                )
                .expect("a writable folder");
            }
        }
        Some(SdkFolder { sdk, tools, folder })
    }

    /// The cases of `tests/guests/sdk`.
    pub fn with_cases(sdk: Sdk) -> Option<SdkFolder> {
        let folder = SdkFolder::new(sdk)?;
        copy(&cases(sdk), folder.path());
        Some(folder)
    }

    /// Adds a package of the tools to `node_modules`. None if it is not installed.
    pub fn with_package(self, name: &str) -> Option<SdkFolder> {
        let package = self.tools.join("node_modules").join(name);
        if !package.exists() {
            missing(&format!("{name} is not in LANDFALL_SDK (.ci/run sdks)"));
            return None;
        }

        let link = self.path().join("node_modules").join(name);
        std::fs::create_dir_all(link.parent().expect("a link is in a folder"))
            .expect("a writable folder");
        symlink(package, link).expect("a writable folder");
        Some(self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, and the folders above it.
    pub fn file(self, name: &str, text: &str) -> SdkFolder {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .expect("a writable folder");
        std::fs::write(path, text).expect("a writable folder");
        self
    }

    /// The command that authors run: `npm run build`, or `python -m landfall_sdk.build`.
    pub fn build(&self) -> Output {
        let mut command = match self.sdk {
            Sdk::TypeScript => {
                let mut command = Command::new("node");
                command.arg("node_modules/landfall-sdk/bin/landfall-build.js");
                command
            }
            Sdk::Python => {
                let mut command = self.python();
                command.args(["-m", "landfall_sdk.build"]);
                command
            }
        };
        output(command.current_dir(self.path()))
    }

    /// `tsc`, which reads `tsconfig.json`.
    pub fn check_types(&self) -> Output {
        let tsc = self.tools.join("node_modules/.bin/tsc");
        output(Command::new(tsc).args(["-p", "."]).current_dir(self.path()))
    }

    /// The native tests in `test` or `tests`, against the fake host of the SDK.
    pub fn test(&self) -> Output {
        let mut command = match self.sdk {
            Sdk::TypeScript => {
                let mut command = Command::new("sh");
                command.args([
                    "-c",
                    "node --import landfall-sdk/register --test test/*.test.*",
                ]);
                command
            }
            Sdk::Python => {
                let mut command = self.python();
                command.args(["-m", "unittest", "discover", "-s", "tests"]);
                command
            }
        };
        output(command.current_dir(self.path()))
    }

    fn python(&self) -> Command {
        let mut command = Command::new(self.tools.join("venv/bin/python"));
        command
            .env("PYTHONPATH", self.sdk.source())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn cases(sdk: Sdk) -> PathBuf {
    root().join("tests/guests/sdk").join(sdk.name())
}

/// The component of `tests/guests/sdk` in this language. None if a tool is not installed. A build takes seconds, so components are
/// kept in the folder of the tools, by a hash of what they are made of.
pub fn sdk_cases(sdk: Sdk) -> Option<PathBuf> {
    static BUILT: [OnceLock<Option<PathBuf>>; 2] = [const { OnceLock::new() }; 2];
    BUILT[sdk as usize]
        .get_or_init(|| kept(sdk, "sdk-cases", &files(&cases(sdk))))
        .clone()
}

/// The component `NAME` of a handler that is one file, with its machine code for nodes that do not compile. None if a tool is not
/// installed. It is kept as that of [`sdk_cases`].
pub fn sdk_handler(sdk: Sdk, name: &str, source: &str) -> Option<PathBuf> {
    let (manifest, text, handler) = match sdk {
        Sdk::TypeScript => (
            "package.json",
            format!("{{ \"name\": \"{name}\" }}\n"),
            "src/handler.js",
        ),
        Sdk::Python => (
            "pyproject.toml",
            format!("[project]\nname = \"{name}\"\n"),
            "handler.py",
        ),
    };
    let sources = BTreeMap::from([
        (PathBuf::from(manifest), text.into_bytes()),
        (PathBuf::from(handler), source.as_bytes().to_vec()),
    ]);
    kept(sdk, name, &sources).inspect(|component| compiled::compile(component))
}

fn kept(sdk: Sdk, name: &str, sources: &BTreeMap<PathBuf, Vec<u8>>) -> Option<PathBuf> {
    let kept = sdk.tools()?.join("components");
    std::fs::create_dir_all(&kept).expect("the folder of the tools is writable");
    let stem = format!("{name}-{}", sdk.name());
    let component = kept.join(format!("{stem}-{}.wasm", hash(sdk, sources)));
    if let Ok(file) = std::fs::File::options().append(true).open(&component) {
        file.set_modified(SystemTime::now()).ok();
        return Some(component);
    }

    remove_unused(&kept);
    let folder = SdkFolder::new(sdk)?;
    write(sources, folder.path());
    succeeded(&folder.build());
    // Another process may build the same: the file appears as a whole.
    let unfinished = kept.join(format!("{stem}.{}", std::process::id()));
    std::fs::copy(
        folder.path().join(format!("build/{name}.wasm")),
        &unfinished,
    )
    .expect("the component was built");
    std::fs::rename(unfinished, &component).expect("a folder of one file system");
    Some(component)
}

/// Of the sources of the handler and of the SDK. The SDK names the versions of its tools.
fn hash(sdk: Sdk, sources: &BTreeMap<PathBuf, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in sources.iter().chain(&files(&sdk.source())) {
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hex::encode(&hash.finalize()[..8])
}

/// Fails the test with what the command said.
pub fn succeeded(output: &Output) -> String {
    let said = said(output);
    assert!(output.status.success(), "{}:\n{said}", output.status);
    said
}

/// Standard output, then standard error.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn output(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command
        .env_remove("FORCE_COLOR")
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()))
}
