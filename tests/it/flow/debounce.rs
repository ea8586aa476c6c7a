//! `[debounce]`: of the events of a group, one runs.

use landfall_tests::eventually;
use serde_json::{Value, json};

use super::{seen, send, setup, until_ended};

const BY_KEY: &str = "[debounce]\nkey = { json = \"/key\" }\n";

fn states(all: &[Value]) -> Vec<&str> {
    all.iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_last_event_runs() {
    let node = setup(&format!("{BY_KEY}wait = \"2s\"\n"))
        .serving("in")
        .await;
    // The hook is paused, so that a slow machine does not close a group between two events.
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, 0..5).await;
    let waiting = node.deliveries("in").await;
    assert_eq!(
        states(&waiting),
        [
            "superseded",
            "superseded",
            "superseded",
            "waiting",
            "waiting"
        ]
    );
    assert_eq!(waiting[4]["waits_for"], "debounce");
    node.order("/api/v1/hooks/in/resume", json!({})).await;

    let all = until_ended(&node).await;
    assert_eq!(
        states(&all),
        ["superseded", "superseded", "superseded", "done", "done"]
    );
    assert_eq!(all[0]["superseded_by"], all[4]["event"]);
    assert_eq!(all[1]["superseded_by"], all[3]["event"]);
    assert_eq!(all[2]["superseded_by"], all[4]["event"]);
    assert_eq!(seen(&node).await, [3, 4]);

    // A duplicate of a superseded event does not run; a replay of it does.
    send(&node, [0]).await;
    assert_eq!(node.deliveries("in").await.len(), 5);
    let order = json!({ "events": [all[0]["event"]] });
    assert_eq!(node.order("/api/v1/replay", order).await["events"], 1);
    node.until_states(
        "in",
        &[
            "superseded",
            "superseded",
            "superseded",
            "done",
            "done",
            "done",
        ],
    )
    .await;
    assert_eq!(seen(&node).await, [0, 3, 4]);
}

#[tokio::test]
async fn the_first_event_runs() {
    let node = setup(&format!("{BY_KEY}wait = \"2s\"\nkeep = \"first\"\n"))
        .serving("in")
        .await;
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, 0..5).await;
    node.order("/api/v1/hooks/in/resume", json!({})).await;
    let all = until_ended(&node).await;
    assert_eq!(
        states(&all),
        ["done", "done", "superseded", "superseded", "superseded"]
    );
    assert_eq!(all[4]["superseded_by"], all[0]["event"]);
    assert_eq!(seen(&node).await, [0, 1]);
}

#[tokio::test]
async fn steady_events_cannot_starve_it() {
    let node = setup("[debounce]\nwait = \"1h\"\nmaximum = \"1h\"\n")
        .serving("in")
        .await;
    send(&node, [0]).await;
    let first = node.until_states("in", &["waiting"]).await;
    let due = first[0]["due_in_ms"].as_u64().unwrap();
    assert!(due <= 3_600_000, "{due}");
    // A changed window counts from the next event on: `maximum` is from the first one.
    let file = std::fs::read_to_string(node.plugins().join("in.toml")).unwrap();
    node.put(
        "in.toml",
        file.replace(
            "wait = \"1h\"\nmaximum = \"1h\"",
            "wait = \"1s\"\nmaximum = \"1s\"",
        ),
    );
    let (mut n, node) = (1, &node);
    let done = eventually("an event runs although others follow", || {
        n += 1;
        let number = n;
        async move {
            send(node, [number]).await;
            let all = node.deliveries("in").await;
            all.into_iter().find(|one| one["state"] == "done")
        }
    })
    .await;
    assert_eq!(done["attempt"], 1);
}

#[tokio::test]
async fn a_retry_does_not_wait() {
    let node = setup("[debounce]\nwait = \"1h\"\n").serving("in").await;
    send(&node, [0]).await;
    let waiting = node.until_states("in", &["waiting"]).await;
    let order = json!({ "events": [waiting[0]["event"]] });
    let answer = node.order("/api/v1/retry-now", order).await;
    assert_eq!(answer["deliveries"], 1, "{answer}");
    node.until_states("in", &["done"]).await;
}

#[tokio::test]
async fn events_without_key_run() {
    let node = setup(&format!("{BY_KEY}wait = \"1h\"\n"))
        .serving("in")
        .await;
    assert_eq!(node.post("/in", &[], "{\"n\":7}").await.0, 202);
    node.until_states("in", &["done"]).await;
}

#[tokio::test]
async fn waiting_events_survive_a_kill() {
    let node = setup(&format!("{BY_KEY}wait = \"2s\"\n"))
        .serving("in")
        .await;
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, 0..4).await;
    let node = node.killed().serving("in").await;
    assert_eq!(
        states(&node.deliveries("in").await),
        ["superseded", "superseded", "waiting", "waiting"]
    );
    node.order("/api/v1/hooks/in/resume", json!({})).await;
    until_ended(&node).await;
    assert_eq!(seen(&node).await, [2, 3]);
}
