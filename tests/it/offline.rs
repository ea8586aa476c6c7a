//! `landfall test`, `landfall invoke` and `landfall events save`: components run without a node.

mod cases;
mod errors;
mod invoke;
mod page;
mod provider;
mod save;
mod update;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use landfall_tests::{guest, landfall};
use serde_json::Value;

/// The folder of one handler, named `hello`.
pub(crate) struct Handler {
    dir: tempfile::TempDir,
}

/// A hook that grants everything that the guests use.
pub(crate) const OPEN: &str = "[verify]\nscheme = \"none\"\n[allow]\nhttp = [\"https://api.example.com/\"]\nkv = true\n\
                    table = [\"t\", \"looks\"]\nemit = [\"sink\"]\n";

// === impl Handler ===

impl Handler {
    /// A folder with a built guest and an open hook file.
    fn new(name: &str) -> Handler {
        Handler::of(&guest(name)).hook(OPEN)
    }

    pub(crate) fn of(component: &Path) -> Handler {
        let handler = Handler {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(handler.path("build")).unwrap();
        std::fs::create_dir(handler.path("cases")).unwrap();
        std::fs::copy(component, handler.path("build/hello.wasm")).unwrap();
        handler.hook("")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn hook(self, text: &str) -> Handler {
        self.write("hello.toml", text);
        self
    }

    pub(crate) fn case(self, name: &str, text: &str) -> Handler {
        self.write(&format!("cases/{name}.toml"), text);
        self
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a command in the folder.
    fn run(&self, args: &[&str]) -> Output {
        Command::new(landfall())
            .args(args)
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    /// The report of `landfall test --json`.
    pub(crate) fn report(&self, args: &[&str]) -> Value {
        let output = self.run(&[&["test", "--json"], args].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}{}", stdout(&output), stderr(&output)))
    }

    /// The text of `landfall test`, without times.
    fn text(&self, args: &[&str]) -> String {
        without_times(&stdout(&self.run(&[&["test"], args].concat())))
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// `push (1.5 ms)` → `push`
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once(" (") {
        Some((before, after)) if after.ends_with(" ms)") => before,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Checks that the cases named `ok-…` pass, and that those named `no-KEY…` fail at that key alone.
pub(crate) fn check_names(report: &Value) {
    let cases = report["cases"].as_array().unwrap();
    assert!(!cases.is_empty(), "{report}");
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let keys: Vec<&str> = case["differences"]
            .as_array()
            .unwrap()
            .iter()
            .map(|difference| difference["key"].as_str().unwrap())
            .collect();
        match name.strip_prefix("no-") {
            None => assert!(keys.is_empty(), "{name}: {case:#}"),
            Some(name) => {
                let key = name.split('-').next().unwrap();
                assert_eq!(keys, [key], "{name}: {case:#}");
            }
        }
    }
}
