//! When a node says that it is ready: a broken hook file in a new deployment must not replace nodes that work.

use landfall_tests::{Node, Setup, eventually, guest};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";
const SIGNED: &str =
    "mode = \"sync\"\n[verify]\nprovider = \"github\"\nsecret = \"env:GITHUB_SECRET\"\n";

async fn readyz(node: &Node) -> (u16, String) {
    let answer = node
        .client
        .get(format!("http://{}/readyz", node.admin))
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn until_read(node: &Node) -> (u16, String) {
    eventually("the plugins directory has been read", || async {
        let (status, text) = readyz(node).await;
        (!text.contains("has not been read")).then_some((status, text))
    })
    .await
}

fn with_a_good_hook() -> Setup {
    Setup::new().hook("good", &guest("answers_one"), OPEN)
}

#[tokio::test]
async fn broken_hook_files_hold_readiness_back() {
    for (name, file, text, state) in [
        (
            "broken",
            "broken.toml",
            format!("concurency = 3\n{OPEN}"),
            "unavailable",
        ),
        ("missing", "missing.toml", OPEN.to_owned(), "unavailable"),
        (
            "no-secret",
            "no-secret.toml",
            format!("component = \"good.wasm\"\n{SIGNED}"),
            "closed",
        ),
        (
            "unverified",
            "unverified.toml",
            "component = \"good.wasm\"\n".to_owned(),
            "closed",
        ),
        ("UPPER.TOML", "UPPER.TOML", OPEN.to_owned(), "unavailable"),
    ] {
        let node = with_a_good_hook().file(file, text).start().await;
        let (status, body) = until_read(&node).await;
        assert_eq!(status, 503, "{file}: {body}");
        assert!(
            body.contains(&format!("not served: {name} ({state});")),
            "{file}: {body}"
        );
        assert_eq!(
            node.post("/good", &[], "{}").await.0,
            200,
            "the others are served"
        );
    }
}

#[tokio::test]
async fn a_ready_node_stays_ready() {
    let node = with_a_good_hook()
        .file(
            "late.toml",
            format!("component = \"good.wasm\"\nmodee = 1\n{OPEN}"),
        )
        .start()
        .await;
    assert_eq!(until_read(&node).await.0, 503);
    let mut command = node.command();
    let asked = command.arg("ready").output().unwrap();
    assert!(!asked.status.success());
    assert!(
        String::from_utf8_lossy(&asked.stderr).contains("late (unavailable)"),
        "{asked:?}"
    );

    node.put("late.toml", format!("component = \"good.wasm\"\n{OPEN}"));
    node.until_ready().await;
    node.put("late.toml", "modee = 1\n");
    node.until("late", "stale").await;
    node.put("later.toml", "modee = 1\n");
    node.until("later", "unavailable").await;
    assert_eq!(readyz(&node).await, (200, "ready\n".to_owned()));
}

#[tokio::test]
async fn readiness_any_waits_for_no_hook() {
    let setup = with_a_good_hook()
        .file("broken.toml", "modee = 1\n")
        .env("LANDFALL_READINESS", "any");
    assert_eq!(until_read(&setup.start().await).await.0, 200);
}

/// It is closed until its operator writes one; nothing of a deployment is broken.
#[tokio::test]
async fn components_without_hook_file_are_ready() {
    let bytes = std::fs::read(guest("answers_one")).unwrap();
    let node = with_a_good_hook().file("alone.wasm", bytes).start().await;
    assert_eq!(until_read(&node).await.0, 200);
    node.until("alone", "closed").await;
}

#[tokio::test]
async fn strict_exits_with_every_error() {
    let setup = with_a_good_hook()
        .arg("--strict")
        .file("broken.toml", "modee = 1\n")
        .file("no-secret.toml", SIGNED);
    let said = setup.refusal().await;
    for words in [
        "--strict: 2 of the hook files are not served",
        "broken (unavailable): broken.toml:1:1: unknown key `modee`",
        "no-secret (unavailable): component no-secret.wasm is missing",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    let node = with_a_good_hook().arg("--strict").serving("good").await;
    assert_eq!(node.post("/good", &[], "{}").await.0, 200);
}
