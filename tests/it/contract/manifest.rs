//! Manifests of other versions: what the host knows of them is used, the rest is a warning.

use landfall_tests::{Setup, component, with_manifest};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

#[tokio::test]
async fn newer_manifests_load_with_warnings() {
    let manifest = "manifest = 2\n\
                    name = \"orders\"\n\
                    version = { major = 3 }\n\
                    colour = \"blue\"\n\
                    [settings-schema]\n\
                    required = [\"branch\"]\n\
                    properties = { branch = { type = \"string\" } }\n\
                    [needs]\n\
                    teleport = true\n";
    let bytes = with_manifest(&component("answers_one"), manifest);
    let node = Setup::new()
        .file("new.wasm", &bytes)
        .file("new.toml", format!("{OPEN}[settings]\nbranch = \"x\"\n"))
        .file("lacks.wasm", &bytes)
        .file("lacks.toml", OPEN)
        .start()
        .await;

    let status = node.until("new", "serving").await;
    assert_eq!(node.post("/new", &[], "{}").await, (200, "one".to_owned()));
    let warnings = status["warnings"].to_string();
    for what in ["format 2", "`version`", "`colour`", "`teleport`"] {
        assert!(warnings.contains(what), "{what}: {warnings}");
    }
    node.logged("the warnings are logged", |line| {
        line["level"] == "WARN" && line.to_string().contains("`colour` is unknown")
    })
    .await;

    // What this host knows is still used.
    let problem = node.until("lacks", "unavailable").await["problem"].to_string();
    assert!(problem.contains("branch"), "{problem}");
}
