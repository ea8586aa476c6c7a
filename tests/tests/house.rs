//! Keeps the house in order: which module may import which, and one importer for each big crate (DESIGN, the house).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landfall_tests::root;

/// Module and what it may import; a module that is not listed is the composition root's.
const MAY_IMPORT: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("config", &["model"]),
    ("verify", &["model"]),
    ("egress", &["model"]),
    ("secrets", &["model", "config", "egress"]),
    ("ledger", &["model"]),
    ("queue", &["model", "ledger", "egress"]),
    ("engine", &["model", "egress", "ledger"]),
    ("delivery", &["model", "queue", "ledger", "engine"]),
    ("hooks", &["model", "config", "engine", "verify"]),
    ("edge", &["model", "verify", "secrets", "delivery", "hooks"]),
    ("admin", &["model", "ledger", "queue", "hooks", "delivery"]),
    ("cli", &["app", "config", "shutdown", "telemetry"]),
];

/// Text that names a big crate (or the environment, or the wall clock), and the modules that may use it.
const ONE_IMPORTER: [(&str, &[&str]); 14] = [
    ("rusqlite", &["ledger"]),
    ("tokio_postgres", &["ledger"]),
    ("async_nats", &["queue"]),
    ("prometheus::", &["edge"]),
    ("x509_cert", &["verify"]),
    ("axum::", &["edge", "admin"]),
    ("wasmtime", &["engine"]),
    ("wasmparser", &["engine"]),
    ("hyper_rustls", &["egress"]),
    ("client::legacy", &["egress"]),
    ("reqwest", &["egress"]),
    ("clap::", &["cli"]),
    ("std::env::var", &["config"]),
    ("SystemTime::now", &["model"]),
];

#[test]
fn imports_follow_the_house() {
    let wrong: Vec<String> = lines().filter_map(|line| bad_import(&line)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn big_crates_have_one_importer() {
    let wrong: Vec<String> = lines().filter_map(|line| bad_crate(&line)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn verify_and_model_have_no_io_and_no_async() {
    for line in lines().filter(|line| ["verify", "model"].contains(&line.module.as_str())) {
        for word in ["async ", ".await", "tokio", "std::fs", "std::net::Tcp"] {
            assert!(!line.text.contains(word), "{}: {}", line.place, line.text);
        }
    }
}

#[test]
fn the_top_level_is_as_agreed() {
    let agreed = "Cargo.toml Cargo.lock LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md Dockerfile rustfmt.toml clippy.toml deny.toml host sdk plugins wit tests docs target";
    let agreed: BTreeSet<&str> = agreed.split(' ').collect();
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || agreed.contains(name.as_str()), "{name} is not in the agreed top level");
    }
}

struct Line {
    module: String,
    place: String,
    text: String,
}

/// Every line of code of the host, without comments.
fn lines() -> impl Iterator<Item = Line> {
    let src = root().join("host/src");
    files(&src).into_iter().flat_map(move |path| {
        let within = path.strip_prefix(&src).unwrap().to_owned();
        let first = within.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let numbered: Vec<(usize, String)> = text.lines().map(str::to_owned).enumerate().collect();
        numbered.into_iter().filter(|(_, text)| !text.trim_start().starts_with("//")).map(move |(number, text)| Line {
            module: module.clone(),
            place: format!("{}:{}", within.display(), number + 1),
            text,
        })
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => Vec::from_iter(path.extension().is_some_and(|ending| ending == "rs").then_some(path)),
        })
        .collect()
}

fn bad_import(line: &Line) -> Option<String> {
    let (_, allowed) = MAY_IMPORT.iter().find(|(module, _)| *module == line.module)?;
    let imported =
        line.text.split("crate::").skip(1).map(|rest| {
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
        });
    let grouped = line.text.contains("use crate::{").then(|| "a group: one `use crate::` a line".to_owned());
    let bad = imported.filter(|name| !name.is_empty() && *name != line.module && !allowed.contains(&name.as_str()));
    bad.chain(grouped).next().map(|name| format!("{}: {} may not import {name}", line.place, line.module))
}

fn bad_crate(line: &Line) -> Option<String> {
    let (text, allowed) = ONE_IMPORTER.iter().find(|(text, _)| line.text.contains(text))?;
    // A word in a sentence for people is no import.
    let quoted = line.text.split('"').skip(1).step_by(2).any(|literal| literal.contains(text));
    let is_root = ["app", "main", "lib"].contains(&line.module.as_str());
    (!quoted && !is_root && !allowed.contains(&line.module.as_str()))
        .then(|| format!("{}: `{text}` belongs to {allowed:?}", line.place))
}
