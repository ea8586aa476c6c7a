//! `digest` in a hook file: another version of the component does not run.

use landfall_tests::{Setup, component, eventually};

use super::digest;

fn pinned(bytes: &[u8]) -> String {
    format!(
        "mode = \"sync\"\ndigest = \"{}\"\n[verify]\nscheme = \"none\"\n",
        digest(bytes)
    )
}

#[tokio::test]
async fn other_versions_are_refused_while_serving() {
    let (one, two) = (component("answers_one"), component("answers_two"));
    let node = Setup::new()
        .file("a.wasm", &one)
        .file("a.toml", pinned(&one))
        .serving("a")
        .await;

    node.put("a.wasm", &two);
    let status = node.until("a", "stale").await;
    let problem = status["problem"].as_str().unwrap();
    let words = format!(
        "component a.wasm has the digest {}, and a.toml pins {}: ",
        digest(&two),
        digest(&one)
    );
    assert!(problem.starts_with(&words), "{problem}");
    assert_eq!(node.post("/a", &[], "{}").await, (200, "one".to_owned()));
    node.logged("the refusal", |line| line["problem"] == problem)
        .await;

    node.put("a.toml", pinned(&two));
    eventually("the new version answers", || async {
        (node.post("/a", &[], "{}").await == (200, "two".to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn other_versions_never_start() {
    let (one, two) = (component("answers_one"), component("answers_two"));
    let node = Setup::new()
        .file("a.wasm", &two)
        .file("a.toml", pinned(&one))
        .start()
        .await;
    let status = node.until("a", "unavailable").await;
    assert!(
        status["problem"].as_str().unwrap().contains("a.toml pins"),
        "{status}"
    );
    assert_eq!(node.post("/a", &[], "{}").await.0, 503);

    node.put("a.wasm", &one);
    node.until("a", "serving").await;
}

#[tokio::test]
async fn wrong_digests_name_their_form() {
    let node = Setup::new()
        .file("a.wasm", component("answers_one"))
        .file("a.toml", "digest = \"ba78\"\n[verify]\nscheme = \"none\"\n")
        .start()
        .await;
    let status = node.until("a", "unavailable").await;
    let problem = status["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("a.toml:1:10: ") && problem.contains("64 hexadecimal digits"),
        "{problem}"
    );
}
