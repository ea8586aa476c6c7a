//! The tables of endpoints and metrics are those of the code. `observability` compares the latter with a scrape.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landfall_tests::root;

use super::read;

/// Endpoints of docs/API.md, as `GET /healthz`.
#[test]
fn api_table_lists_every_admin_route() {
    let first_cells = first_cells("docs/API.md");
    let documented: BTreeSet<String> = first_cells
        .into_iter()
        .filter(|cell| cell.starts_with("GET /") || cell.starts_with("POST /"))
        .collect();

    let mut routes = operations();
    for path in sources(&root().join("host/admin/src")) {
        for route in read(&path).split(".route(").skip(1) {
            // A route of the list has no literal here.
            if !route.trim_start().starts_with('"') {
                continue;
            }
            let path = route.split('"').nth(1).unwrap();
            let handler = route.split('"').nth(2).unwrap();
            let method = handler.trim_start_matches([',', ' ', '\n']);
            let method = method.trim_start_matches("routing::");
            let method = method.split('(').next().unwrap().to_ascii_uppercase();
            routes.insert(format!("{method} {path}"));
        }
    }
    assert_eq!(documented, routes);
}

/// The operations of `/api/v1`, as `GET /api/v1/hooks`. OpenAPI has the same ones: a unit test of
/// the admin API compares them.
fn operations() -> BTreeSet<String> {
    let text = read(&root().join("host/admin/src/api/operations.rs"));
    let lines = text.lines().filter_map(|line| {
        let line = line.trim();
        let rest = line
            .strip_prefix("Read ")
            .or_else(|| line.strip_prefix("Operate "))
            .or_else(|| line.strip_prefix("Operate(dry_run) "))?;
        let (method, rest) = rest.split_once(" \"")?;
        let (path, _) = rest.split_once('"')?;
        Some(format!("{} {path}", method.to_ascii_uppercase()))
    });
    let operations: BTreeSet<String> = lines.collect();
    assert!(operations.len() > 20, "{operations:?}");
    operations
}

#[test]
fn metrics_table_lists_every_metric() {
    let first_cells = first_cells("docs/observability/README.md");
    let documented: BTreeSet<String> = first_cells
        .into_iter()
        .filter(|cell| is_metric(cell))
        .collect();

    let mut named = BTreeSet::new();
    for path in sources(&root().join("host")) {
        // The dashboard has no metric, and a cookie.
        if path.starts_with(root().join("host/dashboard")) {
            continue;
        }
        let text = read(&path);
        let literals = text.split('"').skip(1).step_by(2);
        named.extend(literals.filter(|text| is_metric(text)).map(str::to_owned));
    }
    assert_eq!(documented, named);
}

fn is_metric(text: &str) -> bool {
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let rest = text
        .strip_prefix("landfall_")
        .or_else(|| text.strip_prefix("process_"));
    rest.is_some_and(is_word)
}

/// The text in backquotes at the start of each row of a page's tables.
fn first_cells(page: &str) -> Vec<String> {
    let text = read(&root().join(page));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next())
        .map(str::to_owned)
        .collect()
}

/// Every Rust file below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return sources(&path);
            }
            let is_rust = path.extension().is_some_and(|ending| ending == "rs");
            Vec::from_iter(is_rust.then_some(path))
        })
        .collect()
}
