//! Every change is in the audit record, with who made it and what came of it.

use landfall_tests::{Node, event_id};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::node;

/// The entries without dry runs, oldest first.
async fn entries(node: &Node) -> Vec<Value> {
    let page = node.ask("/api/v1/audit").await;
    let mut entries = page["entries"].as_array().expect("entries").clone();
    entries.reverse();
    entries
}

fn landfall(node: &Node, arguments: &[&str]) -> String {
    let output = node.command().args(arguments).output();
    let output = output.expect("the binary starts");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn changes_are_recorded_with_results() {
    let node = node().await;
    let event = event_id(&node.post("/q", &[], "{}").await);
    node.until_states("q", &["done"]).await;

    node.order("/api/v1/hooks/q/pause", json!({})).await;
    node.order("/api/v1/hooks/q/resume", json!({})).await;
    node.order("/api/v1/reload", json!({})).await;
    node.order(
        "/api/v1/replay",
        json!({ "hook": "q", "state": "done", "dry_run": true }),
    )
    .await;
    node.order("/api/v1/replay", json!({ "events": [event] }))
        .await;
    node.order(
        "/api/v1/discard",
        json!({ "hook": "absent", "reason": "none" }),
    )
    .await;

    let entries = entries(&node).await;
    let actions: Vec<&str> = entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["pause", "resume", "reload", "replay", "discard"]);
    let digest = hex::encode(Sha256::digest(node.admin_token()));
    for entry in &entries {
        assert_eq!(entry["role"], "operate", "{entry}");
        assert_eq!(entry["token"], digest[..8], "{entry}");
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
        assert!(entry["at"].as_str().unwrap().ends_with('Z'), "{entry}");
        assert!(!entry["result"].is_null(), "{entry}");
    }
    assert_eq!(entries[0]["hook"], "q");
    assert_eq!(entries[0]["detail"]["paused"], true);
    assert_eq!(entries[0]["result"]["paused"], true);
    assert_eq!(entries[3]["detail"]["events"][0], event.as_str());
    assert_eq!(entries[3]["result"]["events"], 1);
    assert_eq!(entries[4]["result"]["status"], 404);
    let text = json!(entries).to_string();
    assert!(!text.contains(&node.admin_token()), "{text}");
}

#[tokio::test]
async fn records_are_paged_and_outlive_restarts() {
    let node = node().await;
    for _ in 0..3 {
        node.order("/api/v1/hooks/q/pause", json!({})).await;
        node.order("/api/v1/hooks/q/resume", json!({})).await;
    }
    let node = node.killed().serving("q").await;

    let (mut before, mut ids) = (String::new(), Vec::new());
    loop {
        let page = node.ask(&format!("/api/v1/audit?limit=4{before}")).await;
        let entries = page["entries"].as_array().unwrap();
        ids.extend(entries.iter().map(|entry| entry["id"].as_i64().unwrap()));
        match page["next"].as_i64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 6);
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    let paused = node.ask("/api/v1/audit?action=pause&hook=q&since=1h").await;
    assert_eq!(paused["entries"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn audit_command_prints_and_exports() {
    let node = node().await;
    landfall(&node, &["hooks", "pause", "q"]);
    landfall(&node, &["hooks", "reload"]);

    let lines = landfall(&node, &["audit"]);
    let actions = lines.lines().map(|line| line.split_whitespace().nth(1));
    assert_eq!(
        actions.collect::<Vec<_>>(),
        [Some("reload"), Some("pause")],
        "{lines}"
    );
    let exported = landfall(&node, &["audit", "--all", "--json"]);
    let entries: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["hook"], "q");
    assert_eq!(landfall(&node, &["audit", "--action", "purge"]), "");
}
