//! `landfall new`: what it writes, and what it refuses.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use landfall_tests::landfall;

use super::{
    LANGUAGES, TEMPLATES, empty_folder, has_tools, landfall_in, new_handler, said, succeeds,
};

/// The files of a language, beside those of every handler.
fn files(language: &str) -> &'static [&'static str] {
    match language {
        "rust" => &[
            "Cargo.toml",
            "Cargo.lock",
            ".cargo/config.toml",
            "src/lib.rs",
            "vendor/landfall-sdk/src/lib.rs",
            "vendor/wit/hook.wit",
        ],
        "ts" => &[
            "package.json",
            "tsconfig.json",
            "src/handler.ts",
            "test/handler.test.ts",
            "vendor/landfall-sdk/package.json",
        ],
        "js" => &[
            "package.json",
            "src/handler.js",
            "test/handler.test.js",
            "vendor/landfall-sdk/package.json",
        ],
        _ => &[
            "pyproject.toml",
            "requirements.txt",
            "handler.py",
            "tests/test_handler.py",
            "vendor/landfall-sdk/pyproject.toml",
        ],
    }
}

const OF_EVERY_HANDLER: [&str; 7] = [
    "mine.toml",
    "README.md",
    ".gitignore",
    ".vscode/settings.json",
    "samples/push.json",
    "cases/push.toml",
    "secrets/mine",
];

#[test]
fn every_template_has_its_files() {
    for (language, template) in LANGUAGES
        .iter()
        .flat_map(|language| TEMPLATES.map(|template| (*language, template)))
    {
        let dir = tempfile::tempdir().unwrap();
        let folder = new_handler(
            dir.path(),
            "mine",
            language,
            &["--provider", "github", "--template", template],
        );
        for file in OF_EVERY_HANDLER.iter().chain(files(language)) {
            assert!(folder.join(file).is_file(), "{language} {template}: {file}");
        }

        let mode = |file: &str| {
            std::fs::metadata(folder.join(file))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!((mode("secrets"), mode("secrets/mine")), (0o700, 0o600));
        let all = all_text(&folder);
        assert!(
            !all.contains("{{ name") && !all.contains("{%"),
            "{language} {template}: a placeholder is left"
        );
        let hook_file: toml::Table = read(&folder.join("mine.toml")).parse().unwrap();
        assert_eq!(hook_file["verify"]["provider"].as_str(), Some("github"));
        assert_eq!(
            hook_file["verify"]["secret"].as_str(),
            Some("file:secrets/mine")
        );
        let case: toml::Table = read(&folder.join("cases/push.toml")).parse().unwrap();
        assert_eq!(case["expect"]["outcome"].as_str(), Some("done"));

        let again = landfall_in(dir.path(), &["new", "mine", "--lang", language]);
        assert!(
            !again.status.success() && said(&again).contains("exists and is not empty"),
            "{again:?}"
        );
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The text of all files that come from templates.
fn all_text(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("vendor") {
            all += &all_text(&path);
        } else if path.is_file() {
            all += &read(&path);
        }
    }
    all
}

#[test]
fn the_default_provider_is_generic() {
    let dir = tempfile::tempdir().unwrap();
    let folder = new_handler(dir.path(), "mine", "rust", &[]);
    assert!(read(&folder.join("mine.toml")).contains("provider = \"generic\""));
    assert!(folder.join("samples/event.json").is_file());
}

#[test]
fn choices_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let text = succeeds(dir.path(), &["new", "--list"]);
    let json: Value =
        serde_json::from_str(&succeeds(dir.path(), &["new", "--list", "--json"])).unwrap();
    for (key, words) in [("languages", LANGUAGES), ("templates", TEMPLATES)] {
        let listed = json[key].as_array().unwrap();
        assert_eq!(
            listed
                .iter()
                .map(|one| one["name"].as_str().unwrap())
                .collect::<Vec<_>>(),
            words
        );
        for one in listed {
            let line = format!(
                "  {:<8} {}",
                one["name"].as_str().unwrap(),
                one["about"].as_str().unwrap()
            );
            assert!(text.contains(&line), "{text}");
        }
    }
}

#[test]
fn missing_arguments_name_the_choices() {
    let dir = tempfile::tempdir().unwrap();
    for (args, words) in [
        (&["new"][..], "a name is missing"),
        (
            &["new", "mine"],
            "--lang rust, --lang ts, --lang js or --lang python",
        ),
        (
            &["new", "mine", "--lang", "go"],
            "the languages are rust, ts, js and python",
        ),
        (
            &["new", "mine", "--lang", "rust", "--template", "x"],
            "the templates are empty, forward, store and trigger",
        ),
        (
            &["new", "mine", "--lang", "rust", "--provider", "githib"],
            "github",
        ),
        (
            &["new", "mine", "--lang", "rust", "--providers", "/nowhere"],
            "--providers /nowhere is not a folder",
        ),
        (&["new", "Mine", "--lang", "rust"], "cannot name a hook"),
        (&["new", "1st", "--lang", "rust"], "begin with a letter"),
        (&["new", "test", "--lang", "rust"], "a tool uses this name"),
        (
            &["new", "pyproject", "--lang", "python"],
            "a tool uses this name",
        ),
        (&["new", "../mine", "--lang", "rust"], "cannot name a hook"),
    ] {
        let output = landfall_in(dir.path(), args);
        assert!(
            !output.status.success() && said(&output).contains(words),
            "{args:?}: {}",
            said(&output)
        );
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was written"
    );
}

/// Runs the command of a language's own test runner.
fn passes(folder: &Path, command: &mut Command) {
    let output = command.current_dir(folder).output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        folder.display(),
        said(&output)
    );
}

/// Builds the component, and runs the cases of the folder.
fn passes_its_cases(folder: &Path) {
    succeeds(folder, &["build"]);
    let printed = succeeds(folder, &["test"]);
    assert!(printed.contains(" passed, 0 failed"), "{printed}");
}

/// A handler of each template; the packages of the first one serve all.
fn handlers(dir: &Path, language: &str) -> Vec<std::path::PathBuf> {
    TEMPLATES
        .iter()
        .map(|template| new_handler(dir, template, language, &["--template", template]))
        .collect()
}

#[test]
fn rust_templates_pass_their_tests() {
    let dir = empty_folder("templates");
    for folder in handlers(&dir, "rust") {
        // One SDK, so that it is compiled once.
        let manifest = folder.join("Cargo.toml");
        let text = read(&manifest).replace("vendor/landfall-sdk", "../empty/vendor/landfall-sdk");
        std::fs::write(manifest, text).unwrap();
        let target = landfall().with_file_name("author-target");
        passes(
            &folder,
            Command::new("cargo")
                .args(["test", "--quiet", "--target-dir"])
                .arg(target),
        );
        passes_its_cases(&folder);
    }
}

#[test]
fn javascript_templates_pass_their_tests() {
    for language in ["ts", "js"] {
        if !has_tools(language) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut folders = handlers(dir.path(), language);
        if language == "ts" {
            // It reads a payload with its type.
            folders.push(new_handler(
                dir.path(),
                "typed",
                language,
                &["--provider", "github"],
            ));
        }
        passes(
            &folders[0],
            Command::new("npm").args(["install", "--no-audit", "--no-fund"]),
        );
        for folder in &folders {
            if folder != &folders[0] {
                std::os::unix::fs::symlink("../empty/node_modules", folder.join("node_modules"))
                    .unwrap();
            }
            passes(
                folder,
                Command::new("npm").args(["run", "--if-present", "check"]),
            );
            passes(folder, Command::new("npm").arg("test"));
            passes_its_cases(folder);
        }
    }
}

#[test]
fn python_templates_pass_their_tests() {
    if !has_tools("python") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folders = handlers(dir.path(), "python");
    succeeds(&folders[0], &["build", "--install"]);
    for folder in &folders {
        if folder != &folders[0] {
            std::os::unix::fs::symlink("../empty/.venv", folder.join(".venv")).unwrap();
        }
        let mut python = Command::new("python3");
        python
            .args(["-m", "unittest", "discover", "-s", "tests"])
            .env("PYTHONPATH", folder.join("vendor/landfall-sdk"));
        passes(folder, &mut python);
        passes_its_cases(folder);
    }
}
