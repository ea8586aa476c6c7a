//! Leases of nodes that die, run long or wait for locks.

use std::time::Instant;

use landfall_tests::{Postgres, Setup, eventually, guest};
use serde_json::json;

use super::{LEASE, OPEN};

fn slow_hook(ms: u64) -> Setup {
    let file = format!("mode = \"async\"\n{OPEN}[settings]\nms = {ms}\n");
    Setup::new().hook("slow", &guest("sleeps"), &file)
}

/// The promise is 10 s: the lease, one beat of another node, and its look for what is due.
#[tokio::test(flavor = "multi_thread")]
async fn takeover_takes_at_most_ten_seconds() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let fresh = slow_hook(8000).env("LANDFALL_LEDGER_URL", &url);
    let (one, two) = tokio::join!(fresh.copy().serving("slow"), fresh.copy().serving("slow"));
    two.order("/api/v1/hooks/slow/pause", json!({})).await;
    one.order("/api/v1/hooks/slow/resume", json!({})).await;
    assert_eq!(one.post("/slow", &[], "{}").await.0, 202);
    one.until_states("slow", &["running"]).await;
    let left = "SELECT lease_until - landfall.now_ms() FROM landfall.deliveries WHERE state = 1";
    let left: i64 = server
        .sql(database, left)
        .parse()
        .expect("one delivery runs");
    assert!((1..=LEASE.as_millis() as i64).contains(&left), "{left} ms");

    drop(one);
    let killed = Instant::now();
    let taken_over = "SELECT count(*) FROM landfall.deliveries WHERE attempt = 2";
    eventually("another node runs it", || async {
        (server.sql(database, taken_over) == "1").then_some(())
    })
    .await;
    println!("taken over after {:?}", killed.elapsed());
    let done = two.until_states("slow", &["done"]).await;
    assert_eq!(done[0]["attempt"], 2);
}

/// Three leases long: heartbeats hold it, and the other node finds nothing to take.
#[tokio::test(flavor = "multi_thread")]
async fn long_attempts_keep_their_lease() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let fresh = slow_hook(3 * LEASE.as_millis() as u64).env("LANDFALL_LEDGER_URL", &url);
    let (one, two) = tokio::join!(fresh.copy().serving("slow"), fresh.copy().serving("slow"));
    assert_eq!(one.post("/slow", &[], "{}").await.0, 202);
    eventually("it runs on one of them", || async {
        let (one, two) = (
            one.ask("/api/v1/queue").await,
            two.ask("/api/v1/queue").await,
        );
        let sum = |key: &str| one[key].as_u64().unwrap() + two[key].as_u64().unwrap();
        ((sum("running"), sum("leased")) == (1, 1)).then_some(())
    })
    .await;
    let done = two.until_states("slow", &["done"]).await;
    assert_eq!(done[0]["attempt"], 1, "{}{}", one.log(), two.log());
    // The end is in the database before the node has dropped the attempt.
    eventually("no attempt and no lease is left", || async {
        let metrics = one.metrics().await;
        let has_line = |line: &str| metrics.lines().any(|have| have == line);
        (has_line("landfall_attempts_running 0") && has_line("landfall_deliveries_leased 0"))
            .then_some(())
    })
    .await;
}

/// Another transaction has locked a delivery that runs: the node still extends its other leases.
#[tokio::test(flavor = "multi_thread")]
async fn locked_deliveries_delay_no_heartbeat() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let file = format!("mode = \"async\"\ndeadline = \"30m\"\n{OPEN}[settings]\nms = 600000\n");
    let node = Setup::new()
        .hook("slow", &guest("sleeps"), &file)
        .env("LANDFALL_LEDGER_URL", &url)
        .serving("slow")
        .await;
    for _ in 0..2 {
        assert_eq!(node.post("/slow", &[], "{}").await.0, 202);
    }
    node.until_states("slow", &["running", "running"]).await;

    let lock = "DO $$ BEGIN
            PERFORM 1 FROM landfall.deliveries WHERE id = (SELECT min(id) FROM landfall.deliveries) FOR UPDATE;
            PERFORM pg_sleep(600);
        EXCEPTION WHEN query_canceled THEN NULL; END $$";
    let locking = {
        let database = database.clone();
        std::thread::spawn(move || server.sql(&database, lock))
    };
    let unlocked = "SELECT count(*) FROM
        (SELECT 1 FROM landfall.deliveries WHERE state = 1 FOR UPDATE SKIP LOCKED) free";
    eventually("a delivery is locked", || async {
        (server.sql(&database, unlocked) == "1").then_some(())
    })
    .await;

    let lease = || -> i64 {
        let sql = "SELECT lease_until FROM landfall.deliveries ORDER BY id DESC LIMIT 1";
        server.sql(&database, sql).parse().unwrap()
    };
    // The first extension may have begun before the lock.
    for _ in 0..2 {
        let before = lease();
        eventually("the lease of the other one is extended", || async {
            (lease() > before).then_some(())
        })
        .await;
    }
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
        WHERE query LIKE 'DO %pg_sleep%' AND pid <> pg_backend_pid()";
    server.sql(&database, cancel);
    locking.join().unwrap();
}
