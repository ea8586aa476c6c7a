//! docs/MANIFEST.md: its program adds its manifest to a component.

use std::path::Path;
use std::process::Command;

use landfall_tests::require::missing;
use landfall_tests::{component, landfall, root};

/// The first block of a language in the page.
fn block(page: &str, language: &str) -> String {
    let start = format!("```{language}\n");
    let (_, rest) = page.split_once(&start).expect(language);
    rest.split("```\n").next().unwrap().to_owned()
}

fn inspect(component: &Path) -> String {
    let output = Command::new(landfall())
        .arg("inspect")
        .arg(component)
        .output()
        .expect("the binary starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn manifest_of_the_page_is_read() {
    if Command::new("python3").arg("--version").output().is_err() {
        return missing("python3 is not installed");
    }
    let page = std::fs::read_to_string(root().join("docs/MANIFEST.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("manifest.toml"), block(&page, "toml")).unwrap();
    std::fs::write(file("add_manifest.py"), block(&page, "python")).unwrap();
    // A plain component: the SDK would have written a manifest.
    std::fs::write(file("orders.wasm"), component("plain")).unwrap();

    let status = Command::new("python3")
        .args(["add_manifest.py", "orders.wasm", "manifest.toml"])
        .current_dir(dir.path())
        .status()
        .expect("python3 starts");
    assert!(status.success());

    let printed = inspect(&file("orders.wasm"));
    for expected in [
        "name     orders 1.2.0",
        "about    Stores each order, and tells the warehouse",
        "events   order.paid, order.refunded",
        "POST https://warehouse.example.com/",
        "kv = true",
    ] {
        assert!(printed.contains(expected), "no {expected:?} in:\n{printed}");
    }
    assert!(!printed.contains("warning"), "{printed}");
}
