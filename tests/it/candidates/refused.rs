//! Candidates that cannot be tried.

use landfall_tests::{component, eventually};

use super::{OPEN, all_reply, canary, until_phase, until_reply, with_candidate};

#[tokio::test(flavor = "multi_thread")]
async fn bad_candidates_change_nothing() {
    let node = with_candidate(&canary("share = 50\n"), "answers_two")
        .env("LANDFALL_WATCH_INTERVAL", "100ms")
        .env("LANDFALL_WATCH_DISK", "false")
        .serving("orders")
        .await;
    until_reply(&node, "two").await;

    node.put("new.wasm", "no component");
    let refused = until_phase(&node, "refused").await;
    assert!(
        refused["detail"].as_str().unwrap().contains("new.wasm"),
        "{refused}"
    );
    until_reply(&node, "one").await;
    all_reply(&node, 50, "one").await;
    let hook = node.hook("orders").await.unwrap();
    assert_eq!(hook["state"], "serving");
    assert_eq!(hook["problem"], serde_json::Value::Null);
    assert_eq!(hook["candidate"]["phase"], "refused", "{hook}");
    eventually("the alarm is open", || async {
        let alarms = node.ask("/api/v1/alarms").await;
        (alarms[0]["alarm"] == "candidate").then_some(())
    })
    .await;

    // Its import is not granted.
    node.put("new.wasm", component("keeps"));
    eventually("the grant is missing", || async {
        let report = super::report(&node).await;
        let detail = report["detail"].as_str()?;
        (report["phase"] == "refused" && detail.contains("kv")).then_some(())
    })
    .await;
    all_reply(&node, 50, "one").await;

    node.put("new.wasm", component("answers_two"));
    until_phase(&node, "canary").await;
    until_reply(&node, "two").await;
    eventually("the alarm is closed", || async {
        (node.ask("/api/v1/alarms").await == serde_json::json!([])).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_candidates_end() {
    let node = with_candidate(&canary("share = 50\n"), "answers_two")
        .serving("orders")
        .await;
    until_reply(&node, "two").await;
    node.put("orders.toml", format!("mode = \"sync\"\n{OPEN}"));
    until_phase(&node, "none").await;
    until_reply(&node, "one").await;
    eventually("the candidate ends", || async {
        let mut replies = Vec::new();
        for _ in 0..20 {
            replies.push(node.post("/orders", &[], "{}").await.1);
        }
        replies.iter().all(|reply| reply == "one").then_some(())
    })
    .await;
}
