//! Which crate may depend on which, and who owns a large dependency, the environment and the clock.

use std::collections::BTreeSet;

use landfall_tests::root;

use super::lines;

/// A crate under host/ and the crates of the host that it may depend on. `landfall` composes them
/// all.
pub(super) const MAY_DEPEND_ON: [(&str, &[&str]); 25] = [
    ("bench", &[]),
    ("model", &[]),
    ("metrics", &["model"]),
    ("watch", &["model"]),
    ("candidate", &["model"]),
    ("shape", &["model"]),
    ("config", &["model"]),
    ("verify", &["model"]),
    ("egress", &["model"]),
    ("secrets", &["model", "config", "egress"]),
    ("telemetry", &["model", "egress", "metrics"]),
    ("ledger", &["model"]),
    ("broker", &["model", "egress"]),
    ("flow", &["model", "verify"]),
    (
        "engine",
        &["model", "egress", "flow", "ledger", "metrics", "candidate"],
    ),
    (
        "dispatch",
        &[
            "model",
            "ledger",
            "broker",
            "engine",
            "flow",
            "metrics",
            "telemetry",
            "candidate",
        ],
    ),
    (
        "hooks",
        &["model", "config", "engine", "flow", "verify", "metrics"],
    ),
    (
        "offline",
        &[
            "model", "config", "verify", "egress", "ledger", "engine", "flow", "hooks",
        ],
    ),
    ("distribution", &["model", "config", "egress", "engine"]),
    (
        "edge",
        &[
            "model",
            "verify",
            "secrets",
            "dispatch",
            "hooks",
            "metrics",
            "telemetry",
        ],
    ),
    (
        "reconcile",
        &["model", "verify", "egress", "ledger", "dispatch", "hooks"],
    ),
    (
        "admin",
        &["model", "ledger", "dispatch", "hooks", "watch", "shape"],
    ),
    (
        "dashboard",
        &["model", "verify", "ledger", "hooks", "admin"],
    ),
    ("mcp", &["model", "admin"]),
    ("author", &["model", "config", "verify", "engine"]),
];

/// A large dependency and the crates that may list it.
const OWNERS: [(&str, &[&str]); 18] = [
    ("rusqlite", &["ledger", "bench"]),
    ("tokio-postgres", &["ledger"]),
    ("async-nats", &["broker"]),
    ("prometheus", &["metrics"]),
    ("prost", &["telemetry"]),
    ("x509-cert", &["verify"]),
    ("axum", &["edge", "admin", "dashboard", "landfall", "bench"]),
    ("askama", &["dashboard"]),
    ("rmcp", &["mcp"]),
    ("wasmtime", &["engine"]),
    ("wasmtime-wasi", &["engine"]),
    ("wasmtime-wasi-http", &["engine"]),
    ("wasmtime-wizer", &["engine"]),
    ("wasmparser", &["engine"]),
    ("hyper-rustls", &["egress"]),
    ("reqwest", &["bench"]),
    ("notify", &["hooks", "author"]),
    ("clap", &["landfall", "bench"]),
];

/// Functions of the standard library that only one crate may call.
const CALLERS: [(&str, &str); 2] = [("std::env::var", "config"), ("SystemTime::now", "model")];

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

#[test]
fn verify_and_model_have_no_io() {
    for line in lines().filter(|line| ["verify", "model"].contains(&line.name.as_str())) {
        for word in ["async ", ".await", "tokio", "std::fs", "std::net::Tcp"] {
            assert!(!line.text.contains(word), "{}: {}", line.place, line.text);
        }
    }
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
