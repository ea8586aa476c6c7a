//! The commands of docs/handlers/packaging.md, in their order.

use std::process::Command;

use landfall_tests::manifest::with_manifest;
use landfall_tests::registry::Registry;
use landfall_tests::require::missing;
use landfall_tests::{component, landfall, root};

use super::Desk;

/// Of the component on the page.
const MANIFEST: &str = r#"
manifest = 1
settings-schema = '''{"type": "object", "required": ["channel"], "properties": {
  "channel": {"type": "string", "description": "The channel for the messages"}}}'''
[needs]
http = ["https://slack.com/api/"]
"#;

#[tokio::test]
async fn packaging_page_works() {
    let Some(registry) = Registry::start().await else {
        return;
    };
    if Command::new("minisign").arg("-v").output().is_err() {
        missing("minisign is not installed");
        return;
    }
    let desk = Desk::new();
    std::fs::create_dir(desk.path("build")).unwrap();
    let bytes = with_manifest(&component("answers_one"), MANIFEST);
    desk.write("build/slack.wasm", bytes);
    std::os::unix::fs::symlink(landfall(), desk.path("landfall")).unwrap();

    let page = std::fs::read_to_string(root().join("docs/handlers/packaging.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    let commands: String = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    // A key without a password, and a registry of our own.
    let commands = commands
        .replace("minisign -G", "minisign -G -W")
        .replace("ghcr.io", &registry.host());
    let path = format!(
        "{}:{}",
        desk.dir.path().display(),
        std::env::var("PATH").unwrap()
    );
    let output = tokio::process::Command::new("sh")
        .args(["-ec", &commands])
        .current_dir(desk.dir.path())
        .env("PATH", path)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("signed   yes"), "{said}");
    let shown = page
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let written = without_digests(&desk.read("plugins/slack.toml"));
    assert_eq!(written.replace(&registry.host(), "ghcr.io"), shown);
    assert_eq!(
        desk.plugins(),
        ["slack.toml", "slack.wasm", "slack.wasm.minisig"]
    );
}

/// With `HEX` in place of each digest.
fn without_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        shown.push_str(&format!("sha256:HEX{rest}"));
    }
    shown
}
