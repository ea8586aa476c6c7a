//! No file of a crate imports in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use landfall_tests::root;

use super::files;

/// Crates whose files import each other without a cycle.
const WITHOUT_IMPORT_CYCLES: [&str; 24] = [
    "verify",
    "broker",
    "dispatch",
    "engine",
    "flow",
    "hooks",
    "egress",
    "ledger",
    "config",
    "secrets",
    "edge",
    "admin",
    "dashboard",
    "landfall",
    "mcp",
    "bench",
    "model",
    "distribution",
    "metrics",
    "telemetry",
    "watch",
    "reconcile",
    "candidate",
    "shape",
];

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

fn module(path: &str, code: &str) -> (String, String) {
    (path.to_owned(), code.to_owned())
}

/// The code of each file of a crate by its module path (`a::b`), without comments and tests.
pub(super) fn modules(source: &Path) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    for path in files(source) {
        let within = path.strip_prefix(source).unwrap().with_extension("");
        let mut names: Vec<_> = within.iter().map(|name| name.to_str().unwrap()).collect();
        if names.iter().any(|name| name.ends_with("tests")) {
            continue;
        }

        names.pop_if(|name| ["mod", "lib", "main"].contains(name));
        let text = std::fs::read_to_string(&path).unwrap();
        let tests = [
            "#[cfg(test)]\nmod tests {",
            "#[cfg(test)]\npub(crate) mod tests {",
        ];
        let end = tests.iter().filter_map(|tests| text.find(tests)).min();
        let code = text[..end.unwrap_or(text.len())]
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        modules.insert(names.join("::"), code.collect::<Vec<_>>().join("\n"));
    }

    modules
}

/// Modules of which each imports the next and the last one the first. Re-exports count for the
/// crate root only: an import through the root hides which file it needs.
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

pub(super) fn join(module: &str, name: &str) -> String {
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
