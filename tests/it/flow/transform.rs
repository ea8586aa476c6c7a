//! `[transform]`: the body that the handler receives.

use std::process::Command;

use landfall_tests::{Setup, bundled, event_id, guest, landfall};
use serde_json::Value;

use super::{OPEN, seen, setup};

const DOUBLE: &str =
    "[transform]\nbody = '{\"n\": {{ event.json.n * 2 }}, \"who\": {{ event.json.who }}}'\n";

#[tokio::test]
async fn the_handler_gets_another_body() {
    let node = setup(DOUBLE).serving("in").await;
    let sent = "{\"n\":21,\"who\":\"Ada \\\"A\\\"\"}";
    let answer = node.post("/in", &[("id", "1")], sent).await;
    node.until_states("in", &["done"]).await;
    assert_eq!(seen(&node).await, [42]);
    // What is stored, and replayed, is what was sent.
    let shown = node
        .ask(&format!("/api/v1/events/{}", event_id(&answer)))
        .await;
    assert_eq!(shown["event"]["body"]["text"], sent);
    let order = serde_json::json!({ "events": [event_id(&answer)] });
    assert_eq!(node.order("/api/v1/replay", order).await["events"], 1);
    node.until_states("in", &["done", "done"]).await;
    assert_eq!(seen(&node).await, [42, 42]);
}

#[tokio::test]
async fn signatures_cover_the_sent_body() {
    let file = "mode = \"sync\"\n[verify]\nprovider = \"github\"\nsecret = \"env:S\"\n[transform]\nbody = \"{{ event.text | upper }}\"\n\
                content_type = \"text/plain\"\n";
    let node = Setup::new()
        .hook("in", &bundled("echo"), file)
        .env("S", "secret")
        .serving("in")
        .await;
    let body = "{\"a\":1}";
    let signature = landfall_tests::sign("secret", body.as_bytes());
    let headers = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-event", "push"),
    ];
    let answer = node.post("/in", &headers, body).await;
    assert_eq!(answer.0, 200, "{answer:?}");
    assert!(
        answer.1.contains("{\"A\":1}") || answer.1.contains("{\\\"A\\\":1}"),
        "{answer:?}"
    );
    assert_eq!(node.post("/in", &headers, "{\"a\":2}").await.0, 401);
}

#[tokio::test]
async fn a_failing_template_is_a_dead_letter() {
    let template = "[transform]\nbody = \"{{ event.json.a.b }}\"\n";
    let node = setup(template).serving("in").await;
    assert_eq!(node.post("/in", &[("id", "1")], "{}").await.0, 202);
    let all = node.until_states("in", &["dead"]).await;
    let reason = all[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("[transform] fails on this event"),
        "{reason}"
    );

    // In mode sync the caller gets what it gets for a rejected event.
    let file = format!("mode = \"sync\"\n[verify]\nscheme = \"none\"\n{template}");
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .serving("in")
        .await;
    let answer = node.post("/in", &[], "{}").await;
    assert_eq!(answer.0, 422, "{answer:?}");
}

#[tokio::test]
async fn plain_components_get_it_too() {
    let file = format!(
        "{OPEN}[transform]\nbody = \"{{{{ event.text }}}}!\"\ncontent_type = \"text/plain\"\n"
    );
    let file = file.replace("async", "sync");
    let node = Setup::new()
        .hook("in", &guest("plain"), &file)
        .serving("in")
        .await;
    let answer = node.post("/in", &[], "hello").await;
    assert!((200..500).contains(&answer.0), "{answer:?}");
}

#[test]
fn invoke_filters_and_transforms() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::copy(bundled("store"), path("in.wasm")).unwrap();
    let file = format!(
        "{OPEN}{}[filter]\nwhen = [{{ json = \"/who\", equals = \"Ada\" }}]\n{DOUBLE}",
        super::STORE
    );
    std::fs::write(path("in.toml"), file).unwrap();
    let invoke = |body: &str| -> Value {
        std::fs::write(path("event.json"), body).unwrap();
        let output = Command::new(landfall())
            .current_dir(path(""))
            .args(["invoke", "--json"])
            .arg(path("in.wasm"))
            .arg("--event")
            .arg(path("event.json"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{text}"))
    };

    let run = invoke("{\"n\":4,\"who\":\"Ada\"}");
    assert_eq!(run["outcome"], "done", "{run}");
    assert_eq!(run["rows"][0]["row"]["n"], 8, "{run}");
    let filtered = invoke("{\"n\":4,\"who\":\"Eve\"}");
    assert_eq!(filtered["outcome"], "filtered", "{filtered}");
    assert_eq!(filtered["reason"], "json /who is \"Eve\"");
    assert_eq!(filtered["rows"], serde_json::json!([]));
}
