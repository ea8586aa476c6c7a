//! docs/handlers/compatibility.md names the versions that the tests use.

use landfall_tests::root;
use serde_json::Value;

use super::read;

#[test]
fn compatibility_names_tested_versions() {
    let npm: Value =
        serde_json::from_str(&read(&root().join("tests/sdk/package.json"))).expect("JSON");
    let shim = npm["overrides"]["@bytecodealliance/preview2-shim"].as_str();
    let jco = npm["dependencies"]["@bytecodealliance/jco"].as_str();
    let quickjs = npm["dependencies"]["componentize-qjs"].as_str();
    let bindings = locked("Cargo.lock", "wit-bindgen-c");
    let (bindings, _) = bindings.rsplit_once('.').expect("three numbers");
    let [axum, wstd, wstd_axum] =
        ["axum", "wstd", "wstd-axum"].map(|name| locked("tests/guests/Cargo.lock", name));

    let page = read(&root().join("docs/handlers/compatibility.md"));
    for words in [
        format!("| wstd, Rust | {wstd} |"),
        format!("axum {axum}, wstd-axum {wstd_axum}"),
        format!("jco {}", jco.expect("a package")),
        format!(
            "`@bytecodealliance/preview2-shim` {}",
            shim.expect("an override")
        ),
        format!("componentize-qjs {}", quickjs.expect("a package")),
        format!(
            "| componentize-py, Python | {} |",
            required("componentize-py")
        ),
        format!("ziglang {}", required("ziglang")),
        format!("wit-bindgen {bindings}"),
    ] {
        assert!(
            page.contains(&words),
            "docs/handlers/compatibility.md does not have: {words}"
        );
    }
}

/// The version of a package in a Cargo.lock.
fn locked(file: &str, name: &str) -> String {
    let lock: toml::Table = read(&root().join(file)).parse().expect("a lock is TOML");
    let packages = lock["package"].as_array().expect("a list");
    let package = packages
        .iter()
        .find(|package| package["name"].as_str() == Some(name));
    let version = package.and_then(|package| package["version"].as_str());
    version
        .unwrap_or_else(|| panic!("{file} has no {name}"))
        .to_owned()
}

/// The version of a package from PyPI.
fn required(name: &str) -> String {
    let requirements = read(&root().join("tests/sdk/requirements.txt"));
    let mut lines = requirements.lines();
    let version = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix("=="));
    version.expect("a package").to_owned()
}
