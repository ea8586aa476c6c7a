//! `[batch]`: events that run together.

use landfall_tests::eventually;
use serde_json::{Value, json};

use super::{OPEN, STORE, numbers_of, seen, send, setup, until_ended};

#[tokio::test]
async fn a_full_batch_runs_once() {
    let node = setup("[batch]\ncount = 3\ntime = \"1h\"\n")
        .serving("in")
        .await;
    send(&node, 0..7).await;
    let all = node
        .until_states(
            "in",
            &["done", "done", "done", "done", "done", "done", "waiting"],
        )
        .await;
    assert_eq!(all[6]["waits_for"], "batch");
    let batches: Vec<&Value> = all.iter().map(|one| &one["batch"]).collect();
    for (n, batch) in batches.iter().enumerate() {
        assert_eq!(**batch, all[n / 3 * 3]["event"], "{n}");
    }
    assert_eq!(all[1]["batch_size"], 3);

    // The batches may run at the same time.
    let mut rows = node.all_rows("in", "t").await;
    rows.sort_by_key(|row| numbers_of(&row["batch"]));
    let lists: Vec<Vec<u64>> = rows.iter().map(|row| numbers_of(&row["batch"])).collect();
    assert_eq!(lists, [[0, 1, 2], [3, 4, 5]]);
    assert_eq!(rows[0]["event_type"], "batch");
    // The attempts are those of the first event, and its members name it.
    let path = format!("/api/v1/events/{}", all[0]["event"].as_str().unwrap());
    let shown = node.ask(&path).await;
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["batch"][1]["id"], all[1]["event"]);
    let counted = "landfall_flow_total{hook=\"in\",step=\"batched\"} 7";
    assert!(node.metrics().await.contains(counted));
    eventually("the gauge counts what waits", || async {
        let gauge = "landfall_deliveries{hook=\"in\",state=\"waiting\"} 1";
        node.metrics().await.contains(gauge).then_some(())
    })
    .await;
}

#[tokio::test]
async fn time_and_size_close_a_batch() {
    let node = setup("[batch]\ncount = 100\ntime = \"1s\"\n")
        .serving("in")
        .await;
    send(&node, 0..3).await;
    until_ended(&node).await;
    assert_eq!(seen(&node).await, [0, 1, 2]);

    // Together they are larger than a body may be.
    let file = std::fs::read_to_string(node.plugins().join("in.toml")).unwrap();
    let file = format!("max_body = \"4KiB\"\n{}", file.replace("\"1s\"", "\"1h\""));
    node.put("in.toml", file);
    eventually("the new file serves", || async {
        let hook = node.hook("in").await?;
        hook["flow"][0].as_str()?.contains("1h").then_some(())
    })
    .await;
    let body = |n: u64| json!({ "n": n, "filler": "x".repeat(2000) }).to_string();
    for n in 10..13 {
        let answer = node.post("/in", &[("id", &n.to_string())], body(n)).await;
        assert_eq!(answer.0, 202, "{answer:?}");
    }
    node.until_states("in", &["done", "done", "done", "done", "done", "waiting"])
        .await;
    assert_eq!(seen(&node).await, [0, 1, 2, 10, 11]);
}

#[tokio::test]
async fn keys_separate_batches() {
    let node = setup("[batch]\ncount = 2\ntime = \"1h\"\nkey = { json = \"/key\" }\n")
        .serving("in")
        .await;
    send(&node, 0..4).await;
    node.until_states("in", &["done"; 4]).await;
    let rows = node.all_rows("in", "t").await;
    let mut lists: Vec<Vec<u64>> = rows.iter().map(|row| numbers_of(&row["batch"])).collect();
    lists.sort();
    assert_eq!(lists, [[0, 2], [1, 3]]);
}

#[tokio::test]
async fn batches_of_a_key_run_in_order() {
    let dedup = "[dedup]\nid = { header = \"Id\" }\n";
    let file = format!(
        "order_by = {{ json = \"/key\" }}\n{OPEN}{STORE}{dedup}[batch]\ncount = 2\ntime = \"1h\"\n"
    );
    let node = landfall_tests::Setup::new()
        .hook("in", &landfall_tests::bundled("store"), &file)
        .serving("in")
        .await;
    send(&node, (0..20).map(|n| n * 2)).await;
    node.until_states("in", &["done"; 20]).await;
    let rows = node.all_rows("in", "t").await;
    let order: Vec<u64> = rows
        .iter()
        .flat_map(|row| numbers_of(&row["batch"]))
        .collect();
    let expected: Vec<u64> = (0..20).map(|n| n * 2).collect();
    assert_eq!(order, expected);
}

#[tokio::test]
async fn overdue_groups_close_together() {
    let tables = "[debounce]\nkey = { json = \"/key\" }\nwait = \"10ms\"\n[batch]\ncount = 2\ntime = \"20ms\"\n";
    let node = setup(tables).serving("in").await;
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, [0, 1]).await;
    let answer = node.deliver("/in", &[("id", "2")], "{\"n\":2}").await;
    assert_eq!(answer.0, 202, "{answer:?}");
    eventually("all groups are due", || async {
        let all = node.deliveries("in").await;
        all.iter().all(|one| one["due_in_ms"] == 0).then_some(())
    })
    .await;
    node.order("/api/v1/hooks/in/resume", json!({})).await;
    node.until_states("in", &["done"; 3]).await;
    assert_eq!(seen(&node).await, [0, 1, 2]);
}

#[tokio::test]
async fn another_order_key_begins_a_batch() {
    let failing = "[transform]\nbody = \"{{ event.no.value }}\"\n";
    let keyed = "[batch]\ncount = 2\ntime = \"1h\"\nkey = { json = \"/key\" }\n";
    let node = setup(&format!("{keyed}{failing}")).serving("in").await;
    send(&node, [0]).await;
    let dedup = "[dedup]\nid = { header = \"Id\" }\n";
    let ordered = "[batch]\ncount = 3\ntime = \"1h\"\n";
    node.put(
        "in.toml",
        format!("order_by = {{ json = \"/key\" }}\n{OPEN}{STORE}{dedup}{ordered}{failing}"),
    );
    eventually("the new file serves", || async {
        let hook = node.hook("in").await?;
        hook["flow"]
            .to_string()
            .contains("of 3 events")
            .then_some(())
    })
    .await;
    // An event without an order key that carried them could not let them run after a split.
    send(&node, [2, 4, 6]).await;
    node.until_states("in", &["waiting", "dead", "dead", "dead"])
        .await;
}

/// The template fails on an event with the key `k1`.
const POISON: &str = "[transform]\nbody = '''\n{\"batch\": [{% for one in event.json.batch %}{% if one.json.key == \"k1\" %}\
                      {{ one.no.value }}{% endif %}{{ one }}{% if not loop.last %},{% endif %}{% endfor %}]}\n'''\n";

#[tokio::test]
async fn a_poisoned_batch_is_split() {
    let node = setup(&format!("[batch]\ncount = 3\ntime = \"1h\"\n{POISON}"))
        .serving("in")
        .await;
    send(&node, [0, 1, 2]).await;
    let all = node.until_states("in", &["done", "dead", "done"]).await;
    assert_eq!(seen(&node).await, [0, 2]);
    let reason = all[1]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("reject: [transform] fails on this event"),
        "{reason}"
    );
    assert!(
        node.metrics()
            .await
            .contains("landfall_flow_total{hook=\"in\",step=\"split\"} 1")
    );

    // The dead letter runs alone after the template was corrected, as a batch of one.
    let file = std::fs::read_to_string(node.plugins().join("in.toml")).unwrap();
    node.put("in.toml", file.replace("{{ one.no.value }}", ""));
    let order = json!({ "events": [all[1]["event"]] });
    eventually("the corrected hook handles it", || async {
        node.order("/api/v1/replay", order.clone()).await;
        let mut numbers = seen(&node).await;
        // A busy node may have taken the order again by then.
        numbers.dedup();
        (numbers == [0, 1, 2]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_removed_table_frees_its_events() {
    let node = setup("[batch]\ncount = 100\ntime = \"1s\"\n")
        .serving("in")
        .await;
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, [0, 1, 2]).await;
    node.put("in.toml", format!("{OPEN}{STORE}"));
    eventually("the new file serves", || async {
        let hook = node.hook("in").await?;
        hook["flow"].is_null().then_some(())
    })
    .await;
    node.order("/api/v1/hooks/in/resume", json!({})).await;
    node.until_states("in", &["done", "done", "done"]).await;
    let rows = node.all_rows("in", "t").await;
    assert!(rows.iter().all(|row| row["batch"].is_null()), "{rows:?}");
    assert_eq!(seen(&node).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_discarded_batch_frees_its_others() {
    let node = setup("[batch]\ncount = 3\ntime = \"1h\"\n")
        .serving("in")
        .await;
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, [0, 1, 2]).await;
    let all = node
        .until_states("in", &["pending", "waiting", "waiting"])
        .await;
    let order = json!({ "events": [all[0]["event"]], "reason": "not wanted" });
    assert_eq!(node.order("/api/v1/discard", order).await["deliveries"], 1);
    node.order("/api/v1/hooks/in/resume", json!({})).await;
    node.until_states("in", &["discarded", "done", "done"])
        .await;
    assert_eq!(seen(&node).await, [1, 2]);
}

#[tokio::test]
async fn purged_hooks_hold_nothing() {
    let node = setup("[batch]\ncount = 100\ntime = \"1h\"\n")
        .serving("in")
        .await;
    send(&node, [0, 1, 2]).await;
    let file = std::fs::read_to_string(node.plugins().join("in.toml")).unwrap();
    let component = std::fs::read(node.plugins().join("in.wasm")).unwrap();
    for name in ["in.toml", "in.wasm"] {
        std::fs::remove_file(node.plugins().join(name)).unwrap();
    }
    eventually("the hook is gone", || async {
        node.hook("in").await.is_none().then_some(())
    })
    .await;
    let purged = node.order("/api/v1/purge", json!({ "hook": "in" })).await;
    assert_eq!(purged["deliveries"], 3, "{purged}");

    node.put("in.toml", file);
    node.put("in.wasm", component);
    node.until("in", "serving").await;
    send(&node, [3]).await;
    let all = node.until_states("in", &["waiting"]).await;
    assert_eq!(all[0]["batch_size"], 1);
}

#[tokio::test]
async fn a_removed_hook_keeps_its_groups() {
    let tables = "[debounce]\nkey = { json = \"/key\" }\nwait = \"10ms\"\n[batch]\ncount = 100\ntime = \"20ms\"\n";
    let node = setup(tables).serving("in").await;
    // Paused, so that nothing runs before the files are gone.
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, [0, 1]).await;
    let answer = node.deliver("/in", &[("id", "2")], "{\"n\":2}").await;
    assert_eq!(answer.0, 202, "{answer:?}");
    let file = std::fs::read_to_string(node.plugins().join("in.toml")).unwrap();
    let component = std::fs::read(node.plugins().join("in.wasm")).unwrap();
    for name in ["in.toml", "in.wasm"] {
        std::fs::remove_file(node.plugins().join(name)).unwrap();
    }
    eventually("the hook is gone", || async {
        node.hook("in").await.is_none().then_some(())
    })
    .await;
    eventually("all groups are due", || async {
        let all = node.deliveries("in").await;
        all.iter().all(|one| one["due_in_ms"] == 0).then_some(())
    })
    .await;
    node.until_states("in", &["waiting"; 3]).await;

    // It comes back with another key for its batches.
    let keyed = format!("{file}key = {{ json = \"/key\" }}\n");
    node.put("in.toml", keyed);
    node.put("in.wasm", component);
    node.until("in", "serving").await;
    node.order("/api/v1/hooks/in/resume", json!({})).await;
    node.until_states("in", &["done"; 3]).await;
    assert_eq!(seen(&node).await, [0, 1, 2]);
}
