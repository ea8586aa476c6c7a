//! README.md and docs/: every sample runs, every link leads somewhere, and the tables are complete.

mod gallery;
mod http;
mod links;
mod patterns;
mod samples;
mod shell;
mod tables;
mod versions;

use std::path::{Path, PathBuf};

use landfall_tests::root;

/// A fenced block: its language, and its text.
pub(crate) struct Sample {
    pub(crate) language: String,
    pub(crate) text: String,
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn samples(path: &Path) -> Vec<Sample> {
    let text = read(path);
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(Sample {
                language: language.into(),
                text: body.join("\n") + "\n",
            });
        }
    }
    found
}

/// README.md and its like, docs/, docs/deploy/, docs/handlers/, docs/observability/, and the README of each bundled handler. The pages of providers are tested in
/// `providers`.
fn pages() -> Vec<PathBuf> {
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name));
    let mut pages = Vec::from(top);
    for dir in ["docs", "docs/deploy", "docs/handlers", "docs/observability"] {
        pages.extend(pages_in(dir));
    }
    for name in handlers() {
        pages.push(root().join("plugins").join(name).join("README.md"));
    }
    pages
}

/// The pages in one directory.
fn pages_in(dir: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(dir)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect()
}

/// The bundled handlers.
fn handlers() -> Vec<String> {
    let names = std::fs::read_dir(root().join("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names
        .filter(|name| {
            root()
                .join("plugins")
                .join(name)
                .join(format!("{name}.toml"))
                .exists()
        })
        .collect()
}
