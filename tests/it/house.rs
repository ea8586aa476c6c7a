//! Checks the layout of the code: which crate may depend on which (docs/ARCHITECTURE.md), one owner for each large dependency,
//! and the top level of the repository. Cargo refuses what a manifest does not list; these tests read the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_tests::root;

/// A crate under host/ and the crates of the host that it may depend on. `landfall` composes them all.
const MAY_DEPEND_ON: [(&str, &[&str]); 13] = [
    ("bench", &[]),
    ("model", &[]),
    ("config", &["model"]),
    ("verify", &["model"]),
    ("egress", &["model"]),
    ("secrets", &["model", "config", "egress"]),
    ("ledger", &["model"]),
    ("broker", &["model", "egress"]),
    ("engine", &["model", "egress", "ledger"]),
    ("dispatch", &["model", "ledger", "broker", "engine"]),
    ("hooks", &["model", "config", "engine", "verify"]),
    ("edge", &["model", "verify", "secrets", "dispatch", "hooks"]),
    ("admin", &["model", "ledger", "dispatch", "hooks"]),
];

/// A large dependency and the crates that may list it.
const OWNERS: [(&str, &[&str]); 14] = [
    ("rusqlite", &["ledger"]),
    ("tokio-postgres", &["ledger"]),
    ("async-nats", &["broker"]),
    ("prometheus", &["edge"]),
    ("x509-cert", &["verify"]),
    ("axum", &["edge", "admin", "landfall", "bench"]),
    ("wasmtime", &["engine"]),
    ("wasmtime-wasi", &["engine"]),
    ("wasmtime-wasi-http", &["engine"]),
    ("wasmparser", &["engine"]),
    ("hyper-rustls", &["egress"]),
    ("reqwest", &["bench"]),
    ("notify", &["hooks"]),
    ("clap", &["landfall", "bench"]),
];

/// Functions of the standard library that only one crate may call.
const CALLERS: [(&str, &str); 2] = [("std::env::var", "config"), ("SystemTime::now", "model")];

/// Crates whose files import each other without a cycle.
const WITHOUT_IMPORT_CYCLES: [&str; 14] = [
    "verify", "broker", "dispatch", "engine", "hooks", "egress", "ledger", "config", "secrets",
    "edge", "admin", "landfall", "bench", "model",
];

#[test]
fn crates_depend_as_agreed() {
    for (name, allowed) in MAY_DEPEND_ON {
        let depends = dependencies(name);
        let ours: Vec<_> = depends
            .iter()
            .filter_map(|one| one.strip_prefix("landfall-"))
            .collect();
        let wrong: Vec<_> = ours.iter().filter(|one| !allowed.contains(*one)).collect();
        assert!(wrong.is_empty(), "host/{name} may not depend on {wrong:?}");
    }
    let listed: BTreeSet<_> = MAY_DEPEND_ON
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    let present = std::fs::read_dir(root().join("host")).unwrap();
    let present = present.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        present
            .filter(|name| name != "landfall")
            .collect::<BTreeSet<_>>(),
        listed
    );
}

#[test]
fn large_dependencies_have_one_owner() {
    let crates = MAY_DEPEND_ON
        .iter()
        .map(|(name, _)| *name)
        .chain(["landfall"]);
    for name in crates {
        let depends = dependencies(name);
        for (dependency, owners) in OWNERS {
            assert!(
                owners.contains(&name) || !depends.contains(dependency),
                "host/{name} may not depend on {dependency}: it belongs to {owners:?}"
            );
        }
    }
}

#[test]
fn environment_and_clock_have_one_caller() {
    for line in lines() {
        for (call, owner) in CALLERS {
            // A word in a text for people is no call.
            let quoted = line
                .text
                .split('"')
                .skip(1)
                .step_by(2)
                .any(|literal| literal.contains(call));
            let allowed = line.name == owner || line.name == "landfall" || quoted;
            assert!(
                allowed || !line.text.contains(call),
                "{}: only {owner} calls {call}",
                line.place
            );
        }
    }
}

/// Other crates receive a clock, so that a test can set the time of day.
#[test]
fn only_landfall_creates_the_clock() {
    for (name, path, code) in crate_modules() {
        let is_definition = name == "model" && path == "clock";
        assert!(
            is_definition || !code.contains("Clock::System"),
            "host/{name}, {path}: only landfall names Clock::System; pass the clock in"
        );
    }
}

#[test]
fn mutexes_are_locked_by_one_function() {
    for (name, path, code) in crate_modules() {
        let is_definition = name == "model" && path == "lock";
        let without_space: String = code.split_whitespace().collect();
        assert!(
            is_definition || !without_space.contains(".lock().unwrap"),
            "host/{name}, {path}: use landfall_model::lock"
        );
    }
}

#[test]
fn verify_and_model_have_no_io() {
    for line in lines().filter(|line| ["verify", "model"].contains(&line.name.as_str())) {
        for word in ["async ", ".await", "tokio", "std::fs", "std::net::Tcp"] {
            assert!(!line.text.contains(word), "{}: {}", line.place, line.text);
        }
    }
}

#[test]
fn files_import_without_cycles() {
    for name in WITHOUT_IMPORT_CYCLES {
        let modules = modules(&root().join("host").join(name).join("src"));
        let cycle = import_cycle(&modules).unwrap_or_default();
        assert!(
            cycle.is_empty(),
            "host/{name}: these files import each other: {}",
            cycle.join(" -> ")
        );
    }
}

#[test]
fn import_cycles_are_found() {
    let module = |path: &str, code: &str| (path.to_owned(), code.to_owned());
    let straight = BTreeMap::from([
        module("", "pub use a::A;"),
        module(
            "a",
            "use crate::b::{self, C as D};\nfn f() { super::b::g() }",
        ),
        module("b", "mod inner;\npub use inner::I;\npub(super) fn g() {}"),
        module("b::inner", "use super::super::c::X;"),
        module("c", "pub(crate) struct X;"),
    ]);
    assert_eq!(import_cycle(&straight), None);

    for (path, code) in [
        ("b", "use crate::{a::A};"),
        ("b", "fn f() { crate::a::f() }"),
        ("c", "use super::{b::inner};"),
        ("b", "use crate::A;"),
    ] {
        let mut modules = straight.clone();
        modules.insert(path.to_owned(), code.to_owned());
        assert!(import_cycle(&modules).is_some(), "{path}: {code}");
    }
}

/// The pages that tell contributors which file to open.
#[test]
fn pages_name_existing_files() {
    let sources = files(&root().join("host"));
    for page in ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let code = text.split('`').skip(1).step_by(2);
        let is_file = |word: &&str| word.ends_with(".rs") || word.ends_with('/');
        let is_word = |word: &&str| !word.contains("NAME") && !word.contains([' ', '{']);
        for name in code.filter(is_file).filter(is_word) {
            let exists = root().join(name).exists()
                || root().join("host").join(name).exists()
                || sources.iter().any(|path| path.ends_with(name));
            assert!(exists, "{page} names {name}, which does not exist");
        }
    }
}

#[test]
fn the_top_level_is_as_agreed() {
    let agreed = "Cargo.toml Cargo.lock LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md Dockerfile rustfmt.toml clippy.toml deny.toml host sdk plugins wit tests docs target";
    let agreed: BTreeSet<&str> = agreed.split(' ').collect();
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || agreed.contains(name.as_str()),
            "{name} is not in the agreed top level"
        );
    }
}

/// README's first command is `cargo run`, which must not have to choose between two binaries.
#[test]
fn cargo_run_starts_landfall() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .expect("cargo is there");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let defaults = metadata["workspace_default_members"].as_array().unwrap();
    let targets = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| defaults.contains(&package["id"]))
        .flat_map(|package| package["targets"].as_array().unwrap());

    let binaries: Vec<&str> = targets
        .filter(|target| target["kind"][0] == "bin")
        .map(|target| target["name"].as_str().unwrap())
        .collect();
    assert_eq!(binaries, ["landfall"]);
}

/// A test that runs nothing says so through `landfall_tests::require`, which fails it in CI.
#[test]
fn skipped_tests_fail_in_ci() {
    let run = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(
        run.contains(&format!("export {}=1", landfall_tests::require::VARIABLE)),
        "{run}"
    );

    let says_skipped = ["\"skipped:", "\"skipping", "ignore]"];
    for path in files(&root().join("tests"))
        .into_iter()
        .chain(files(&root().join("host")))
    {
        if path.ends_with("tests/src/require.rs") || path.ends_with("tests/it/house.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let skips = says_skipped.iter().find(|word| text.contains(*word));
        assert!(
            skips.is_none(),
            "{}: {skips:?} belongs to landfall_tests::require",
            path.display()
        );
    }
}

/// What a crate may name of the ledger: its one trait, and the values that the trait's methods take and return.
const OF_THE_LEDGER: [(&str, &[&str]); 2] = [
    ("engine", &["Kv", "LedgerError"]),
    (
        "admin",
        &[
            "Content",
            "Count",
            "Filter",
            "History",
            "LedgerError",
            "Listed",
            "Parts",
            "Pick",
            "Purged",
            "ReplayOrder",
            "Replayed",
            "Shown",
            "Step",
        ],
    ),
];

#[test]
fn crates_name_one_ledger_trait() {
    for (name, allowed) in OF_THE_LEDGER {
        for path in files(&root().join("host").join(name).join("src")) {
            let text = std::fs::read_to_string(&path).unwrap();
            for after in text.split("landfall_ledger::").skip(1) {
                let list = match after.strip_prefix('{') {
                    Some(list) => list.split('}').next().unwrap(),
                    None => after
                        .split(|one: char| !one.is_alphanumeric())
                        .next()
                        .unwrap(),
                };
                for word in list
                    .split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                {
                    let word = word.split(" as ").next().unwrap();
                    assert!(
                        allowed.contains(&word),
                        "{}: host/{name} may not name {word} of the ledger",
                        path.display()
                    );
                }
            }
        }
    }
}

/// `state_column.rs` gives the states of deliveries names for SQL. The steps from older tables keep their numbers.
#[test]
fn sql_names_delivery_states() {
    let before_a_state = ["= ", "< ", "> ", ">= ", "<> ", "IN (", "NOT IN (", ":= "];
    let ledger = root().join("host/ledger/src");
    let sources = files_ending(&ledger, "rs")
        .into_iter()
        .chain(files_ending(&ledger, "sql"))
        .filter(|path| !path.ends_with("sqlite/schema.rs"))
        .filter(|path| !path.to_string_lossy().contains("/postgres/tables/"));
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        for after in text.split("state ").skip(1) {
            let operand = before_a_state
                .iter()
                .find_map(|operator| after.strip_prefix(operator));
            assert!(
                !operand
                    .is_some_and(|operand| operand.starts_with(|one: char| one.is_ascii_digit())),
                "{}: state {}",
                path.display(),
                after.lines().next().unwrap()
            );
        }
    }
}

struct Line {
    name: String,
    place: String,
    text: String,
}

/// Every line of code of the host, without comments.
fn lines() -> impl Iterator<Item = Line> {
    let host = root().join("host");
    let sources = std::fs::read_dir(&host)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("src"));
    sources
        .flat_map(|source| files(&source))
        .flat_map(move |path| {
            let within = path.strip_prefix(&host).unwrap().to_owned();
            let name = within
                .components()
                .next()
                .unwrap()
                .as_os_str()
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let numbered: Vec<(usize, String)> =
                text.lines().map(str::to_owned).enumerate().collect();
            numbered
                .into_iter()
                .filter(|(_, text)| !text.trim_start().starts_with("//"))
                .map(move |(number, text)| Line {
                    name: name.clone(),
                    place: format!("{}:{}", within.display(), number + 1),
                    text,
                })
        })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    files_ending(dir, "rs")
}

fn files_ending(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_ending(&path, ending),
            false => Vec::from_iter(
                path.extension()
                    .is_some_and(|found| found == ending)
                    .then_some(path),
            ),
        })
        .collect()
}

/// The crate, the module path and the code of each file of the host, without `landfall` and the benchmark.
fn crate_modules() -> impl Iterator<Item = (&'static str, String, String)> {
    let crates = MAY_DEPEND_ON.iter().map(|(name, _)| *name);
    crates.filter(|name| *name != "bench").flat_map(|name| {
        let modules = modules(&root().join("host").join(name).join("src"));
        modules
            .into_iter()
            .map(move |(path, code)| (name, path, code))
    })
}

/// The code of each file of a crate by its module path (`a::b`), without comments and tests.
fn modules(source: &Path) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    for path in files(source) {
        let within = path.strip_prefix(source).unwrap().with_extension("");
        let mut names: Vec<_> = within.iter().map(|name| name.to_str().unwrap()).collect();
        if names.iter().any(|name| name.ends_with("tests")) {
            continue;
        }

        names.pop_if(|name| ["mod", "lib", "main"].contains(name));
        let text = std::fs::read_to_string(&path).unwrap();
        let tests = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub mod tests {"];
        let end = tests.iter().filter_map(|tests| text.find(tests)).min();
        let code = text[..end.unwrap_or(text.len())]
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        modules.insert(names.join("::"), code.collect::<Vec<_>>().join("\n"));
    }

    modules
}

/// Modules of which each imports the next and the last one the first. Re-exports count for the crate root only: an import
/// through the root hides which file it needs.
fn import_cycle(modules: &BTreeMap<String, String>) -> Option<Vec<String>> {
    let imports: BTreeMap<&str, BTreeSet<String>> = modules
        .iter()
        .map(|(module, code)| (module.as_str(), imports(module, code, modules)))
        .collect();

    let mut finished = BTreeSet::new();
    modules
        .keys()
        .find_map(|module| cycle_from(module, &imports, &mut Vec::new(), &mut finished))
}

fn cycle_from(
    module: &str,
    imports: &BTreeMap<&str, BTreeSet<String>>,
    path: &mut Vec<String>,
    finished: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|visited| visited == module) {
        let mut cycle = path.split_off(start);
        cycle.push(module.to_owned());
        return Some(cycle);
    }

    if finished.contains(module) {
        return None;
    }

    path.push(module.to_owned());
    for next in &imports[module] {
        if let Some(cycle) = cycle_from(next, imports, path, finished) {
            return Some(cycle);
        }
    }

    path.pop();
    finished.insert(module.to_owned());
    None
}

/// The modules of the crate that a module names.
fn imports(module: &str, code: &str, modules: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut code = code.to_owned();
    while let Some(start) = code.find("pub use ").filter(|_| !module.is_empty()) {
        let end = start + code[start..].find(';').unwrap();
        code.replace_range(start..end, "");
    }

    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("::") {
        let head_start = code[..at].trim_end_matches(is_word).len();
        let head = &code[head_start..at];
        // `$crate` in a macro is a path of the module that uses the macro.
        let before = &code[..head_start];
        let begins_path = !before.ends_with("::") && !before.ends_with('$');
        let child = join(module, head);
        if begins_path && (["crate", "super"].contains(&head) || modules.contains_key(&child)) {
            let base = match head {
                "crate" => String::new(),
                "super" => parent(module),
                _ => child,
            };
            resolve(base, &code[at + 2..], modules, &mut found);
        }
    }

    found.remove(module);
    found
}

/// Follows the rest of a path, `b::{c::D, e}`, from a module to the modules that it names.
fn resolve(
    base: String,
    rest: &str,
    modules: &BTreeMap<String, String>,
    found: &mut BTreeSet<String>,
) {
    if let Some(group) = rest.strip_prefix('{') {
        for member in members(group) {
            resolve(base.clone(), member.trim(), modules, found);
        }
        return;
    }

    let name = &rest[..rest.len() - rest.trim_start_matches(is_word).len()];
    let next = match name {
        "super" => parent(&base),
        _ => join(&base, name),
    };
    match rest[name.len()..].strip_prefix("::") {
        Some(rest) if modules.contains_key(&next) => resolve(next, rest, modules, found),
        None if modules.contains_key(&next) => drop(found.insert(next)),
        _ => drop(found.insert(base)),
    }
}

/// The members of a group `a, b::{c, d}}…`, which begins behind its brace.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }

    members.retain(|member| !member.trim().is_empty());
    members
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.to_owned()
    } else {
        format!("{module}::{name}")
    }
}

fn parent(module: &str) -> String {
    module
        .rsplit_once("::")
        .map_or("", |(parent, _)| parent)
        .to_owned()
}

/// What the manifest of a crate under host/ lists.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest =
        std::fs::read_to_string(root().join("host").join(name).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = tables
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}
