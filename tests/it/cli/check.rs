//! `check`, `inspect` and `build`.

use std::process::Command;

use landfall_tests::{Setup, bundled, guest, landfall, root};

use super::{run, stderr, stdout};

#[test]
fn check_fails_without_verify_token() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = dir.path().to_str().unwrap();
    std::fs::copy(bundled("echo"), dir.path().join("meta.wasm")).unwrap();
    std::fs::write(dir.path().join("secret"), "an app secret").unwrap();
    let file = "[verify]\nprovider = \"meta\"\nsecret = \"file:secret\"\n\
         challenge_secret = \"file:token\"\n";
    std::fs::write(dir.path().join("meta.toml"), file).unwrap();
    let output = run(&["check", "--plugins", plugins]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("ownership checks are refused"),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).contains("1 of them would refuse the provider's ownership check"),
        "{}",
        stdout(&output)
    );

    std::fs::write(dir.path().join("token"), "a verify token").unwrap();
    assert!(run(&["check", "--plugins", plugins]).status.success());
}

#[test]
fn check_reports_each_hooks_status() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::copy(bundled("echo"), dir.path().join("good.wasm")).unwrap();
    put("good.toml", "[verify]\nscheme = \"none\"\n");
    let plugins = dir.path().to_str().unwrap();
    let output = run(&["check", "--plugins", plugins]);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("1 of 1 hooks would serve"),
        "{}",
        stdout(&output)
    );
    assert!(!stdout(&output).contains("denied"), "{}", stdout(&output));
    // What would only show when it is done is told too.
    std::fs::copy(guest("calls"), dir.path().join("calls.wasm")).unwrap();
    put("calls.toml", "[verify]\nscheme = \"none\"\n");
    let told =
        "its component imports http, and [allow] http grants nothing: each call would be denied";
    assert!(stdout(&run(&["check", "--plugins", plugins])).contains(told));
    put(
        "calls.toml",
        "[verify]\nscheme = \"none\"\n[allow]\nhttp = [\"https://a.example/\"]\n",
    );
    assert!(!stdout(&run(&["check", "--plugins", plugins])).contains(told));
    std::fs::remove_file(dir.path().join("calls.toml")).unwrap();
    std::fs::remove_file(dir.path().join("calls.wasm")).unwrap();
    put("closed.toml", "component = \"good.wasm\"\n");
    put("typo.toml", "component = \"good.wasm\"\n[verfy]\n");
    put(
        "gone.toml",
        "component = \"nowhere.wasm\"\n[verify]\nscheme = \"none\"\n",
    );
    let output = run(&["check", "--plugins", plugins]);
    assert_eq!(output.status.code(), Some(1));
    for words in [
        "closed: the hook has no [verify] table; write into closed.toml [verify]",
        "typo.toml:2:2: unknown key `verfy`: did you mean `verify`?",
        "component nowhere.wasm is missing: put it into the plugins directory, or name its folder \
         with --bundled",
        "1 of 4 hooks would serve",
    ] {
        assert!(
            stdout(&output).contains(words),
            "{words}\n{}",
            stdout(&output)
        );
    }
}

#[test]
fn inspect_shows_identity_and_requested_grants() {
    let output = run(&["inspect", bundled("store").to_str().unwrap()]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    for words in [
        "digest   sha256:",
        "memory   ",
        "exports  landfall:hook/handler@0.1.0",
        "imports  landfall:table/table@0.1.0",
        "needs [allow] table = [\"NAME\"]",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.contains("WASI"), "{text}");

    let with_wasi = stdout(&run(&["inspect", guest("emits").to_str().unwrap()]));
    assert!(
        with_wasi.contains("of WASI, with nothing behind them"),
        "{with_wasi}"
    );
    let receipt = stdout(&run(&[
        "inspect",
        "--json",
        guest("emits").to_str().unwrap(),
    ]));
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(receipt["responder"], true);
    assert!(
        receipt["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["needs"] == "[allow] emit = [\"HOOK\"]"),
        "{receipt}"
    );
    assert!(receipt["memory_bytes"].as_u64().unwrap() >= 1 << 16);
    let text = stdout(&run(&["inspect", guest("answers_one").to_str().unwrap()]));
    for not_called in ["table@", "http@", "settings@", "log@"] {
        assert!(
            !text.contains(not_called),
            "a component imports what it calls, not {not_called}\n{text}"
        );
    }
    let output = run(&["inspect", root().join("Cargo.toml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("is not WebAssembly"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn build_says_what_is_missing() {
    let output = run(&["build", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("/nowhere has no Cargo.toml"),
        "{}",
        stderr(&output)
    );
}

/// A handler whose build is quick: its component comes from the test.
fn crate_of(dir: &std::path::Path) {
    let text = "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\n\
         crate-type = [\"cdylib\"]\n[workspace]\n";
    std::fs::create_dir_all(dir.join("src")).unwrap();
    std::fs::write(dir.join("Cargo.toml"), text).unwrap();
    std::fs::write(dir.join("src/lib.rs"), "").unwrap();
}

#[tokio::test]
async fn build_waits_for_the_node() {
    let dir = tempfile::tempdir().unwrap();
    crate_of(dir.path());
    let node = Setup::new()
        .file("small.toml", "[verify]\nscheme = \"none\"\n")
        .start()
        .await;
    node.until("small", "unavailable").await;
    let build = |out: &std::path::Path, more: &[&str]| {
        let mut command = node.command();
        command
            .arg("build")
            .arg(dir.path())
            .arg("--out")
            .arg(out)
            .args(more)
            .output()
            .unwrap()
    };

    // It is no handler: the node refuses it, and the command says why.
    let refused = build(&node.plugins(), &[]);
    assert!(!refused.status.success());
    let said = stderr(&refused);
    assert!(
        said.contains("the node does not serve small.wasm: hook small: "),
        "{said}"
    );
    assert!(
        build(&node.plugins(), &["--wait", "0"]).status.success(),
        "nothing is waited for"
    );

    let elsewhere = dir.path().join("elsewhere");
    let other = build(&elsewhere, &[]);
    assert!(
        other.status.success() && stderr(&other).contains("not waiting for a node: the node at"),
        "{other:?}"
    );
    let no_node = build(&elsewhere, &["--admin", "http://127.0.0.1:9"]);
    assert!(
        no_node.status.success()
            && stderr(&no_node).contains("not waiting for a node: no node has"),
        "{no_node:?}"
    );

    // No flag says that a node runs.
    let silent = Command::new(landfall())
        .arg("build")
        .arg(dir.path())
        .args(["--json", "--out"])
        .arg(&elsewhere)
        .env_remove("LANDFALL_ADMIN")
        .output()
        .unwrap();
    assert!(
        silent.status.success() && !stderr(&silent).contains("landfall:"),
        "{silent:?}"
    );
    let built: serde_json::Value = serde_json::from_str(&stdout(&silent)).unwrap();
    assert_eq!(
        (built["file"].as_str(), &built["hooks"]),
        (
            elsewhere.join("small.wasm").to_str(),
            &serde_json::Value::Null
        ),
        "{built}"
    );
    assert_eq!(built["digest"].as_str().map(str::len), Some(64), "{built}");
}
