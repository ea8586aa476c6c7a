//! The retention of hooks on which the nodes of a shared ledger agree.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use landfall_ledger::{AttemptRecord, Disposition, Ledger, Results};
use landfall_model::{Event, EventId, HookRetention, HookRetentions, Quota, Stored};
use landfall_tests::{Postgres, eventually};

use super::lead::open;

const DAY: Duration = Duration::from_secs(86_400);

/// The hook `h` keeps everything for so long.
fn keeps(time: Duration) -> HookRetentions {
    let own = HookRetention {
        deliveries: Some(time),
        bodies: Some(time),
        ..HookRetention::default()
    };
    HookRetentions {
        named: [("h".into(), own)].into(),
        ..HookRetentions::default()
    }
}

async fn store_one(ledger: &Arc<dyn Ledger>) {
    let now = SystemTime::now();
    let event = Event {
        id: EventId::new(now),
        hook: "h".into(),
        received_at: now,
        method: http::Method::POST,
        path: "/h".into(),
        query: None,
        headers: http::HeaderMap::new(),
        body: "{}".into(),
        attributes: Vec::new(),
    };
    let attempt = AttemptRecord {
        started_ms: 1,
        duration_us: 2,
        outcome: "done",
        reason: String::new(),
        status: None,
        record: "{}".into(),
    };
    let done = Disposition::Done(Results::empty(Quota { kv: 0, rows: 0 }));
    let recorded = ledger.record(Stored::new(event), attempt, done);
    recorded.await.unwrap();
}

async fn deliveries(ledger: &Arc<dyn Ledger>) -> i64 {
    let counts = ledger.count().await.unwrap();
    counts.iter().map(|count| count.deliveries).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn longest_retention_of_all_nodes_holds() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let (old, new) = (open(&url, DAY).await, open(&url, DAY).await);
    store_one(&old).await;

    // The hook file of the first node is older. A node removes nothing before it has announced.
    for _ in 0..2 {
        old.prune(keeps(Duration::ZERO)).await.unwrap();
        new.prune(keeps(DAY)).await.unwrap();
        assert_eq!(deliveries(&old).await, 1);
    }
    old.prune(keeps(Duration::ZERO)).await.unwrap();
    assert_eq!(deliveries(&old).await, 1);

    // A node that stops counts for a restart, and one that was killed for a day.
    let held = "SELECT count(*) FILTER (WHERE until < landfall.now_ms() + 601000),
                count(*) FILTER (WHERE until > landfall.now_ms() + 3600000) FROM landfall.kv WHERE hook = '_retention'";
    assert_eq!(server.sql(database, held), "0|2");
    new.close().await;
    assert_eq!(server.sql(database, held), "1|1");
    old.prune(keeps(Duration::ZERO)).await.unwrap();
    assert_eq!(deliveries(&old).await, 1);
    old.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shorter_retention_holds_at_once() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let (one, two) = (open(&url, DAY).await, open(&url, DAY).await);
    store_one(&one).await;
    for _ in 0..2 {
        one.prune(keeps(DAY)).await.unwrap();
        two.prune(keeps(DAY)).await.unwrap();
    }
    one.prune(keeps(Duration::ZERO)).await.unwrap();
    assert_eq!(deliveries(&one).await, 1, "the other node keeps it");
    eventually("both nodes have the new file", || async {
        two.prune(keeps(Duration::ZERO)).await.unwrap();
        (deliveries(&one).await == 0).then_some(())
    })
    .await;
    one.close().await;
    two.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_without_files_wait_a_day() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let day_later = || {
        let sql = "UPDATE landfall.kv SET value = '86400000' WHERE hook = '_missing' AND key = 'h' RETURNING 1";
        assert!(server.sql(database, sql).starts_with('1'));
    };
    let missing = HookRetentions {
        missing_for: DAY,
        ..HookRetentions::default()
    };
    let (one, two) = (
        open(&url, Duration::ZERO).await,
        open(&url, Duration::ZERO).await,
    );
    store_one(&one).await;
    for _ in 0..3 {
        one.prune(missing.clone()).await.unwrap();
        assert_eq!(deliveries(&one).await, 1);
    }
    day_later();

    // Another node has the file, and loses it.
    two.prune(keeps(DAY)).await.unwrap();
    one.prune(missing.clone()).await.unwrap();
    two.prune(missing.clone()).await.unwrap();
    assert_eq!(deliveries(&one).await, 1);
    day_later();
    one.close().await;
    two.close().await;

    let again = open(&url, Duration::ZERO).await;
    eventually("the time goes on after a restart", || async {
        again.prune(missing.clone()).await.unwrap();
        (deliveries(&again).await == 0).then_some(())
    })
    .await;
    again.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_may_agree() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let node = open(&url, DAY).await;
    store_one(&node).await;
    let announce = |prefix: &str, deliveries: &str| {
        let text = "format('{\"hooks\":{},\"others\":{\"bodies\":0,\"deliveries\":%s}}'";
        let sql = format!(
            "INSERT INTO landfall.kv (hook, key, is_text, value, until)
             SELECT '_retention', convert_to('{prefix}' || i, 'UTF8'), true, convert_to({text}, {deliveries}), 'UTF8'),
                    landfall.now_ms() + 3600000 FROM generate_series(1, 300) AS i"
        );
        server.sql(database, &sql);
    };
    // A node that is killed again and again says the same each time.
    announce("same", "7");
    eventually("the nodes agree", || async {
        node.prune(keeps(Duration::ZERO)).await.unwrap();
        (deliveries(&node).await == 0).then_some(())
    })
    .await;
    assert!(!node.is_retention_stopped());

    announce("different", "i");
    store_one(&node).await;
    node.prune(keeps(Duration::ZERO)).await.unwrap();
    assert_eq!(deliveries(&node).await, 1);
    assert!(node.is_retention_stopped());
    let different = "DELETE FROM landfall.kv WHERE hook = '_retention' AND key LIKE 'different%'";
    server.sql(database, different);
    eventually("the nodes agree again", || async {
        node.prune(keeps(Duration::ZERO)).await.unwrap();
        (deliveries(&node).await == 0).then_some(())
    })
    .await;
    assert!(!node.is_retention_stopped());
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_announcements_stop_removal() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let node = open(&url, DAY).await;
    store_one(&node).await;
    server.sql(
        database,
        "INSERT INTO landfall.kv (hook, key, is_text, value) VALUES ('_retention', 'later', true, '[]')",
    );
    for _ in 0..3 {
        node.prune(keeps(Duration::ZERO)).await.unwrap();
        assert_eq!(deliveries(&node).await, 1);
    }
    node.close().await;
}
