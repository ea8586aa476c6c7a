//! Several nodes over one database, and nodes with a broker.

use std::process::Command;

use landfall_tests::{Postgres, Setup, bundled, eventually, landfall};
use serde_json::json;

use super::{OPEN, STORE, seen, send, setup, until_ended};

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_nodes_closes_a_batch() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let fresh = setup("[batch]\ncount = 5\ntime = \"500ms\"\n")
        .env("LANDFALL_LEDGER_URL", &server.database());
    let (one, two) = tokio::join!(fresh.copy().serving("in"), fresh.copy().serving("in"));
    tokio::join!(send(&one, 0..23), send(&two, 100..123));
    let all = until_ended(&one).await;
    assert!(all.iter().all(|one| one["state"] == "done"), "{all:?}");
    let expected: Vec<u64> = (0..23).chain(100..123).collect();
    assert_eq!(seen(&one).await, expected);
    let rows = one.all_rows("in", "t").await;
    assert!(rows.len() < expected.len(), "{} batches", rows.len());

    // Filtered events are stored there too, and a replay of a member runs alone.
    let order = json!({ "events": [all[0]["event"]] });
    assert_eq!(two.order("/api/v1/replay", order).await["events"], 1);
    until_ended(&two).await;
    assert_eq!(seen(&two).await.len(), expected.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_debounce_together() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let fresh = setup("[debounce]\nkey = { json = \"/key\" }\nwait = \"1s\"\n")
        .env("LANDFALL_LEDGER_URL", &server.database());
    let (one, two) = tokio::join!(fresh.copy().serving("in"), fresh.copy().serving("in"));
    one.order("/api/v1/hooks/in/pause", json!({})).await;
    eventually("the other node knows", || async {
        (two.hook("in").await?["paused"] == true).then_some(())
    })
    .await;
    tokio::join!(send(&one, 0..10), send(&two, 100..110));
    let open = one.events("hook=in&state=waiting").await;
    assert_eq!(open.len(), 2, "{open:?}");

    // The node that has accepted the last event is gone.
    drop(two);
    one.order("/api/v1/hooks/in/resume", json!({})).await;
    let all = until_ended(&one).await;
    let done = all.iter().filter(|one| one["state"] == "done").count();
    assert_eq!((done, all.len()), (2, 20), "{all:?}");
    assert_eq!(seen(&one).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_nodes_lose_no_batch() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let fresh = setup("[batch]\ncount = 4\ntime = \"300ms\"\n")
        .env("LANDFALL_LEDGER_URL", &server.database());
    let (one, two) = tokio::join!(fresh.copy().serving("in"), fresh.copy().serving("in"));
    for n in 0..40 {
        send(if n % 2 == 0 { &one } else { &two }, [n]).await;
    }
    drop(two.killed());
    until_ended(&one).await;
    let expected: Vec<u64> = (0..40).collect();
    assert_eq!(seen(&one).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_events_are_freed() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let fresh = setup("[batch]\ncount = 9\ntime = \"1h\"\n").env("LANDFALL_LEDGER_URL", &url);
    let node = fresh.serving("in").await;
    // One command makes the whole batch due.
    send(&node, 0..3).await;
    let waiting = node
        .until_states("in", &["waiting", "waiting", "waiting"])
        .await;
    let order = json!({ "events": [waiting[1]["event"]] });
    let answer = node.order("/api/v1/retry-now", order).await;
    assert_eq!(answer["deliveries"], 1, "{answer}");
    node.until_states("in", &["done", "done", "done"]).await;

    // Groups that are lost: the next start frees what waited in them. The open batch stays.
    send(&node, 3..5).await;
    server.sql(&database, "DELETE FROM landfall.held");
    send(&node, 5..6).await;
    let node = node.killed().serving("in").await;
    let expected = ["done", "done", "done", "done", "done", "waiting"];
    node.until_states("in", &expected).await;
    assert_eq!(seen(&node).await, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn discards_free_one_of_a_key() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let file = format!(
        "order_by = {{ json = \"/key\" }}\n{OPEN}{STORE}[dedup]\nid = {{ header = \"Id\" }}\n"
    );
    let node = Setup::new()
        .hook("in", &bundled("store"), &file)
        .env("LANDFALL_LEDGER_URL", &server.database())
        .serving("in")
        .await;
    // More than a server reads ahead in a loop over rows.
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, (0..40).map(|n| 2 * n)).await;
    let all = node.deliveries("in").await;
    let ids: Vec<_> = all[..30].iter().map(|one| one["event"].clone()).collect();
    let order = json!({ "events": ids, "reason": "old" });
    assert_eq!(node.order("/api/v1/discard", order).await["deliveries"], 30);
    node.order("/api/v1/hooks/in/resume", json!({})).await;
    until_ended(&node).await;
    let expected: Vec<u64> = (30..40).map(|n| 2 * n).collect();
    assert_eq!(seen(&node).await, expected);
}

#[test]
fn brokers_refuse_what_waits_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(bundled("store"), dir.path().join("in.wasm")).unwrap();
    for (table, is_refused) in [
        ("[debounce]\nwait = \"1s\"\n", true),
        ("[batch]\ncount = 2\ntime = \"1s\"\n", true),
        (
            "[filter]\nwhen = [{ json = \"/a\", exists = true }]\n",
            false,
        ),
        ("[transform]\nbody = \"{{ event.json }}\"\n", false),
    ] {
        let file = format!("{OPEN}{STORE}{table}");
        std::fs::write(dir.path().join("in.toml"), file).unwrap();
        let output = Command::new(landfall())
            .args(["check", "--plugins"])
            .arg(dir.path())
            .env("LANDFALL_QUEUE_URL", "nats://127.0.0.1:4222")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(!output.status.success(), is_refused, "{table}{said}");
        assert_eq!(
            said.contains("needs a ledger without a queue"),
            is_refused,
            "{table}{said}"
        );
    }
}
