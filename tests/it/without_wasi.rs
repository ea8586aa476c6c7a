//! A Rust handler that is built for `wasm32-unknown-unknown`, with the settings and commands of docs/handlers/rust.md.

use std::process::Command;

use landfall_tests::{Setup, landfall, root};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

const HANDLER: &str = r#"
use landfall_sdk::{Event, Failure, handler, log, serde_json::Value};

#[handler]
fn on_event(event: Event) -> Result<String, Failure> {
    if event.text() == Some("panic") {
        panic!("boom without WASI");
    }
    let body: Value = event.json()?;
    log::info(&body["name"]);
    Ok(format!("{} bytes", event.bytes().len()))
}
"#;

/// The sample of the page that begins with this line.
fn sample(language: &str, first: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/handlers/rust.md")).unwrap();
    let sample = page
        .split(&format!("```{language}\n"))
        .find(|sample| sample.lines().next() == Some(first));
    sample.unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn new_handlers_have_these_settings() {
    let written = root().join("host/author/templates/rust/base/_cargo/config.toml");
    let written: toml::Table = std::fs::read_to_string(written).unwrap().parse().unwrap();
    let documented = sample("toml", "# pushes/.cargo/config.toml");
    assert_eq!(written, documented.parse().unwrap());
}

/// Builds a crate beside the components of the other tests.
fn component() -> Vec<u8> {
    let dir = landfall().with_file_name("without-wasi");
    for folder in ["src", ".cargo"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    let manifest = format!(
        "[workspace]\n[package]\nname = \"bare\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\
         [dependencies]\nlandfall-sdk = {{ path = {:?} }}\n\
         [profile.release]\nopt-level = \"s\"\nlto = true\ncodegen-units = 1\npanic = \"abort\"\nstrip = true\n",
        root().join("sdk")
    );
    std::fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(dir.join("src/lib.rs"), HANDLER).unwrap();
    let settings = sample("toml", "# pushes/.cargo/config.toml");
    std::fs::write(dir.join(".cargo/config.toml"), settings).unwrap();
    // The versions that are tested elsewhere.
    std::fs::copy(root().join("plugins/Cargo.lock"), dir.join("Cargo.lock")).unwrap();

    let target = dir.join("target");
    let commands = sample("sh", "rustup target add wasm32-unknown-unknown");
    let mut build = Command::new("sh");
    build
        .args(["-e", "-c", &commands])
        .current_dir(&dir)
        .env("CARGO_TARGET_DIR", &target);
    assert!(build.status().unwrap().success());
    std::fs::read(target.join("wasm32-unknown-unknown/release/bare.wasm")).unwrap()
}

#[tokio::test]
async fn handlers_run_without_wasi() {
    let bytes = component();
    let node = Setup::new()
        .file("bare.wasm", &bytes)
        .file("bare.toml", OPEN)
        .serving("bare")
        .await;
    let mut inspect = Command::new(landfall());
    let output = inspect.arg("inspect").arg(node.plugins().join("bare.wasm"));
    let receipt = String::from_utf8(output.output().unwrap().stdout).unwrap();
    assert!(
        receipt.contains("memory   512.0 KiB") && !receipt.contains("WASI"),
        "{receipt}"
    );

    let answer = node.post("/bare", &[], r#"{"name":"x"}"#).await;
    assert_eq!(answer, (200, "12 bytes".to_owned()));
    let done = node
        .logged("the attempt", |line| line["outcome"] == "done")
        .await;
    assert_eq!(done["memory_kib"], 512, "the memory did not grow: {done}");
    // As deep as `serde_json` reads, on the small stack.
    let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
    assert_eq!(node.post("/bare", &[], deep).await.0, 200);
    // A body that does not fit into the first memory.
    let body = format!("{{\"name\":\"{}\"}}", "x".repeat(900 << 10));
    assert_eq!(node.post("/bare", &[], body).await.0, 200);

    assert_eq!(node.post("/bare", &[], "panic").await.0, 500);
    let trap = node
        .logged("the trap", |line| line["outcome"] == "trap")
        .await;
    let reason = trap["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("panicked at src/lib.rs:7:9:\nboom without WASI\n"),
        "{reason}"
    );
}
