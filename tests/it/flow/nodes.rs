//! Several nodes over one database, and nodes with a broker.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use landfall_tests::{Postgres, Setup, bundled, eventually, landfall};
use serde_json::json;
use tokio::task::JoinSet;

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

/// In a rolling upgrade, nodes of versions before ledger version 11 claim the first event of a
/// batch, and run only that.
#[tokio::test(flavor = "multi_thread")]
async fn older_nodes_end_one_batched_event() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let node = setup("[batch]\ncount = 3\ntime = \"1h\"\n")
        .env("LANDFALL_LEDGER_URL", &url)
        .serving("in")
        .await;
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, 0..3).await;
    node.until_states("in", &["pending", "waiting", "waiting"])
        .await;

    // They know no state of an event that waits.
    let state = "SET search_path = landfall;
        SELECT DISTINCT l.state FROM deliveries d, latest(d.event) l WHERE d.state = -1";
    assert_eq!(server.sql(database, state).lines().last(), Some("0"));
    let run = "SET search_path = landfall;
        UPDATE deliveries SET state = 1, attempt = 1, owner = gen_random_uuid(), lease_until = now_ms() + 60000 WHERE state = 0;
        SELECT finish(id, attempt, 2, 0, NULL, 1, 1, 'done', '', NULL, '{}') FROM deliveries WHERE state = 1";
    server.sql(database, run);
    node.order("/api/v1/hooks/in/resume", json!({})).await;
    node.until_states("in", &["done"; 3]).await;
    assert_eq!(seen(&node).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_close_groups_without_deadlocks() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let dedup = "[dedup]\nid = { header = \"Id\" }\n";
    let tables = "[debounce]\nkey = { json = \"/key\" }\nwait = \"10ms\"\n";
    let batch = "[batch]\ncount = 5\ntime = \"50ms\"\n";
    let of = |batch: &str| {
        format!("order_by = {{ json = \"/order\" }}\n{OPEN}{STORE}{dedup}{tables}{batch}")
    };
    let fresh = Setup::new()
        .hook("in", &bundled("store"), &of(""))
        .hook("batched", &bundled("store"), &of(batch))
        .env("LANDFALL_LEDGER_URL", &url);
    let (one, two) = tokio::join!(fresh.copy().serving("in"), fresh.copy().serving("in"));

    // Two of five events have no key, and do not wait for others.
    let nodes = [Arc::new(one), Arc::new(two)];
    let mut senders = JoinSet::new();
    for sender in 0..24 {
        let node = nodes[sender as usize % 2].clone();
        senders.spawn(async move {
            for n in (0..40_u64).map(|n| n * 24 + sender) {
                let key = format!(",\"key\":\"k{}\"", n % 97);
                let key = if n % 5 < 2 { "" } else { &*key };
                let body = format!("{{\"n\":{n},\"order\":\"o{}\"{key}}}", n * 7 % 23);
                for hook in ["/in", "/batched"] {
                    let id = n.to_string();
                    let answer = node.deliver(hook, &[("id", &id)], body.clone()).await;
                    assert_eq!(answer.0, 202, "{answer:?}");
                }
            }
        });
    }
    senders.join_all().await;
    eventually("no delivery waits or runs", || async {
        let open = "SELECT count(*) FROM landfall.deliveries WHERE state < 2";
        (server.sql(database, open).trim() == "0").then_some(())
    })
    .await;
    // The server's counts are a little late.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'");
    let deadlocks: u32 = server.sql(database, &asked).parse().unwrap();
    assert!(deadlocks < 3, "{deadlocks} deadlocks");
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
async fn unheld_events_are_not_debounced() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let node = setup("[debounce]\nkey = { json = \"/key\" }\nwait = \"1h\"\n")
        .env("LANDFALL_LEDGER_URL", &url)
        .serving("in")
        .await;
    let many = "SET search_path = landfall;
        INSERT INTO held (hook, step, key, first, current, since, due, members, bytes)
        SELECT 'in', 1, convert_to('other' || n, 'UTF8'), -n, -n, now_ms(), now_ms() + 3600000, 1, 0 FROM generate_series(1, 10000) n";
    server.sql(database, many);
    send(&node, [0]).await;
    node.until_states("in", &["done"]).await;
    let metrics = node.metrics().await;
    let unheld = "landfall_flow_total{hook=\"in\",step=\"unheld\"} 1";
    assert!(metrics.contains(unheld), "{metrics}");
    assert!(!metrics.contains("step=\"debounced\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_groups_are_reported() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let node = setup("[debounce]\nkey = { json = \"/key\" }\nwait = \"10ms\"\n")
        .env("LANDFALL_LEDGER_URL", &url)
        .serving("in")
        .await;
    node.order("/api/v1/hooks/in/pause", json!({})).await;
    send(&node, [0, 1]).await;
    let damage =
        "UPDATE landfall.held SET batch_key = '\\x00' WHERE key = convert_to('k0', 'UTF8')";
    server.sql(database, damage);
    node.order("/api/v1/hooks/in/resume", json!({})).await;

    // The repair runs at once, and frees the event of the damaged group.
    node.until_states("in", &["done", "done"]).await;
    assert_eq!(seen(&node).await, [0, 1]);
    node.until_log("rows of open groups are damaged").await;
    let metrics = node.metrics().await;
    for step in ["damaged", "stranded"] {
        let counted = format!("landfall_flow_total{{hook=\"in\",step=\"{step}\"}} 1");
        assert!(metrics.contains(&counted), "{metrics}");
    }
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
