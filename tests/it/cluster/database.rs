//! Databases that fail, are read-only, or have weak settings and missing grants.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_tests::faults::rounds;
use landfall_tests::relay::{Line, Relay};
use landfall_tests::side_effects::{check, deliver, serving, setup};
use landfall_tests::{Node, Postgres, Setup, bundled, eventually, guest, relay};
use serde_json::json;

use super::{LEASE, OPEN};

#[tokio::test(flavor = "multi_thread")]
async fn node_and_database_failures_lose_nothing() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let events = rounds(300, 900);
    let fresh = setup("async").env("LANDFALL_LEDGER_URL", &server.database());
    // All three start at once on a database without tables.
    let (one, two, three) = tokio::join!(
        serving(fresh.copy()),
        serving(fresh.copy()),
        serving(fresh.copy())
    );
    let at = Arc::new(Mutex::new(vec![one.public, two.public, three.public]));
    let third = events / 3;
    // A node dies under load and comes back; another is stopped with everything it holds.
    let sending = tokio::spawn(deliver(at.clone(), 0..third));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let one = serving(one.killed()).await;
    at.lock().unwrap()[0] = one.public;
    let mut again = sending.await.unwrap();
    two.signal("STOP");
    let stopped = Instant::now();
    at.lock().unwrap().remove(1);
    again += deliver(at.clone(), third..2 * third).await;
    // The database stands still for a while under load, and then dies.
    let sending = tokio::spawn(deliver(at.clone(), 2 * third..events));
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.signal("STOP");
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.signal("CONT");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.kill();
    eventually("a node without its database is not ready", || async {
        (three.readyz().await == 503).then_some(())
    })
    .await;
    server.start_again();
    again += sending.await.unwrap();
    eventually("it is ready again", || async {
        (three.readyz().await == 200).then_some(())
    })
    .await;
    // The stopped node wakes after other nodes have taken over its leases.
    tokio::time::sleep((LEASE + Duration::from_secs(12)).saturating_sub(stopped.elapsed())).await;
    two.signal("CONT");
    check(&three, events, "three nodes").await;
    check_again(&two, events).await;
    println!("{events} events, {again} times without an answer of 2xx; lost 0, twice 0");
    let attempts = server.sql(
        "t0",
        "SELECT count(*) - count(DISTINCT delivery) FROM landfall.attempts",
    );
    println!("attempts that were run again: {attempts}");
}

/// Seen from another node.
async fn check_again(node: &Node, events: usize) {
    let rows = eventually("a node that was stopped answers", || async {
        let rows = node
            .try_ask("/api/v1/rows/side_effects/t?limit=1000")
            .await?;
        rows.as_array().cloned()
    })
    .await;
    assert_eq!(rows.len(), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_database_connections_lose_nothing() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let port = relay::bad_line(server.port()).await;
    let fresh = setup("auto").env("LANDFALL_LEDGER_URL", &url);
    let through = url.replace(&format!(":{}/", server.port()), &format!(":{port}/"));
    let behind = serving(fresh.copy().env("LANDFALL_LEDGER_URL", &through)).await;
    let events = rounds(120, 900);
    let again = deliver(Arc::new(Mutex::new(vec![behind.public])), 0..events).await;
    let direct = serving(fresh).await;
    check(&direct, events, "through a bad line").await;
    println!("{events} events, {again} times without an answer of 2xx; lost 0, twice 0");
}

/// The two ways in which a database refuses writes while other statements succeed.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_writes_stays_unready() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let store =
        format!("mode = \"async\"\n{OPEN}[settings]\ntable = \"t\"\n[allow]\ntable = [\"t\"]\n");
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store)
        .env("LANDFALL_LEDGER_URL", &url);
    let node = setup.serving("store").await;
    assert_eq!(node.post("/store", &[], "{}").await.0, 202);
    node.until_states("store", &["done"]).await;

    // As after a failover: the sessions end, and new ones find a server that only reads.
    server.sql(
        "postgres",
        &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"),
    );
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}'"
    );
    server.sql("postgres", &end);
    stays_unready(&node, "the database is read only").await;
    server.sql(
        "postgres",
        &format!("ALTER DATABASE {database} RESET default_transaction_read_only"),
    );
    accepts_again(&node, 2).await;

    // As on a full disk: a statement that changes no row succeeds.
    let full = "CREATE FUNCTION landfall.full_disk() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER full_disk BEFORE INSERT ON landfall.payloads EXECUTE FUNCTION landfall.full_disk()";
    server.sql(database, full);
    stays_unready(&node, "the disk is full").await;
    server.sql(database, "DROP TRIGGER full_disk ON landfall.payloads");
    accepts_again(&node, 3).await;
}

/// Refuses events, and is not ready while its statements that change nothing succeed.
async fn stays_unready(node: &Node, why: &str) {
    eventually("the node refuses", || async {
        (node.post("/store", &[], "{}").await.0 == 503).then_some(())
    })
    .await;
    node.until_log(why).await;
    for _ in 0..25 {
        assert_eq!(node.readyz().await, 503, "{}", node.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(node.post("/store", &[], "{}").await.0, 503);
}

/// Once it is ready, an event is accepted and run.
async fn accepts_again(node: &Node, events: usize) {
    eventually("the node is ready", || async {
        (node.readyz().await == 200).then_some(())
    })
    .await;
    assert_eq!(
        node.post("/store", &[], "{}").await.0,
        202,
        "{}",
        node.log()
    );
    node.until_states("store", &vec!["done"; events]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_wait_for_a_slow_database() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let relay = Relay::to(server.port()).await;
    relay.set(Line::Mute);
    let url = server.database();
    let url = url.replace(
        &format!(":{}/", server.port()),
        &format!(":{}/", relay.port()),
    );
    let node = tokio::spawn(Setup::new().env("LANDFALL_LEDGER_URL", &url).start());
    // Longer than one try.
    tokio::time::sleep(Duration::from_secs(7)).await;
    relay.set(Line::Whole);
    let node = node.await.unwrap();
    assert!(
        node.log().contains("Postgres has not answered yet"),
        "{}",
        node.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_postgres_settings_are_rejected() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let secret = "canary-password";
    let with_password = url.replace("postgres@", &format!("postgres:{secret}@"));
    let cases = [
        (
            format!("{with_password}?options=-c%20synchronous_commit%3Doff%20-c%20fsync%3Doff"),
            "cannot be reached",
        ),
        (
            with_password.replace(&format!(":{}/", server.port()), ":9/"),
            "cannot be reached",
        ),
        (
            format!("{with_password}?sslmode=require"),
            "add sslmode=disable to the URL",
        ),
        (
            format!("{with_password}?sslmode=maybe"),
            "sslmode is one of disable",
        ),
        (format!("{with_password}_none"), "does not exist"),
        (format!("mysql://u:{secret}@h/d"), "postgres://USER"),
        (format!("postgres://u:{secret}@[::bad/d"), "cannot be used"),
    ];
    for (bad, words) in cases {
        let setup = Setup::new()
            .hook("store", &guest("answers_one"), OPEN)
            .env("LANDFALL_LEDGER_URL", &bad);
        let log = setup.refusal().await;
        assert!(log.contains(words) && !log.contains(secret), "{bad}: {log}");
    }
    // A newer Landfall has been here.
    let node = Setup::new()
        .hook("store", &guest("answers_one"), OPEN)
        .env("LANDFALL_LEDGER_URL", &url)
        .start()
        .await;
    drop(node);
    server.sql(
        url.rsplit('/').next().unwrap(),
        "UPDATE landfall.version SET version = 99",
    );
    let setup = Setup::new().env("LANDFALL_LEDGER_URL", &url);
    let log = setup.refusal().await;
    assert!(
        log.contains("newer Landfall (version 99, this one knows 11)"),
        "{log}"
    );
}

/// Each refusal names the statement that mends it, and after the last one the node serves.
#[tokio::test(flavor = "multi_thread")]
async fn missing_grants_are_named() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let role = format!("role_{database}");
    server.sql("postgres", &format!("CREATE ROLE {role} LOGIN"));
    server.sql(
        "postgres",
        &format!("REVOKE CREATE ON DATABASE {database} FROM PUBLIC"),
    );
    let store =
        format!("mode = \"async\"\n{OPEN}[settings]\ntable = \"t\"\n[allow]\ntable = [\"t\"]\n");
    let setup = |role: &str| {
        let url = url.replace("postgres@", &format!("{role}@"));
        Setup::new()
            .hook("store", &bundled("store"), &store)
            .env("LANDFALL_LEDGER_URL", &url)
    };
    let grants = |log: &str| {
        let start = log
            .find("run GRANT")
            .map(|at| at + "run ".len())
            .unwrap_or_else(|| panic!("no statement: {log}"));
        let end = log[start..].find([';', '"']).unwrap_or(log.len() - start);
        log[start..start + end].to_owned()
    };
    let statement = grants(&setup(&role).refusal().await);
    assert_eq!(
        statement,
        format!("GRANT CREATE ON DATABASE {database} TO {role}")
    );

    // The owner has made the tables.
    drop(setup("postgres").serving("store").await);
    let mut statements = Vec::new();
    let node = loop {
        assert!(statements.len() < 4, "{statements:?}");
        match setup(&role).try_start().await {
            Some(node) => break node,
            None => {
                let statement = grants(&setup(&role).refusal().await);
                server.sql(&database, &statement);
                statements.push(statement);
            }
        }
    };
    assert_eq!(statements.len(), 2, "{statements:?}");
    node.until("store", "serving").await;
    assert_eq!(node.post("/store", &[], "{}").await.0, 202);
    node.until_states("store", &["done"]).await;

    // Taken away while it runs.
    server.sql(
        &database,
        &format!("REVOKE INSERT ON ALL TABLES IN SCHEMA landfall FROM {role}"),
    );
    assert_eq!(node.post("/store", &[], "{}").await.0, 503);
    node.until_log("run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA landfall")
        .await;
    server.sql(&database, &statements[1]);
    accepts_again(&node, 2).await;
}

/// A write that was never committed does not stop the writes of other nodes, and the error says how
/// to find it.
#[tokio::test(flavor = "multi_thread")]
async fn locked_tables_delay_migrations() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let third = include_str!("../../fixtures/postgres-ledger-3.sql");
    server.sql(database, third);
    server.sql(database, "CREATE PUBLICATION everything FOR ALL TABLES");
    let setup = Setup::new().env("LANDFALL_LEDGER_URL", &url);
    let mut forgotten = server.session(database);
    forgotten.run("BEGIN; LOCK TABLE landfall.deliveries IN ROW EXCLUSIVE MODE");

    let log = setup.copy().refusal().await;
    for words in [
        "the node tries again in 5 s",
        "the ledger cannot be prepared",
        "pg_terminate_backend(pid)",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }

    let node = tokio::spawn(setup.start());
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'";
    for is_waiting in [true, false] {
        eventually("the node waits, and then makes a pause", || async {
            ((server.sql(database, waiting) != "0") == is_waiting).then_some(())
        })
        .await;
    }
    forgotten.run("ROLLBACK");
    let node = node.await.unwrap();
    node.until_log("the node tries again in 5 s").await;
    let version = server.sql(database, "SELECT version FROM landfall.version");
    assert_eq!(version, "11");
}

/// Ledgers of older versions with deliveries of a hook that no longer exists.
#[tokio::test(flavor = "multi_thread")]
async fn older_ledgers_keep_their_deliveries() {
    let third = include_str!("../../fixtures/postgres-ledger-3.sql");
    let fourth = include_str!("../../fixtures/postgres-ledger-4.sql");
    keeps_its_deliveries(&[third]).await;
    keeps_its_deliveries(&[third, fourth]).await;
}

async fn keeps_its_deliveries(ledger: &[&str]) {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    for statements in ledger {
        server.sql(url.rsplit('/').next().unwrap(), statements);
    }
    let node = Setup::new().env("LANDFALL_LEDGER_URL", &url).start().await;

    let mut all = node.deliveries("gone").await;
    all.sort_by_key(|one| one["delivery"].as_i64());
    let states: Vec<_> = all
        .iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        ["resolved", "done", "dead", "done", "pending", "dead"]
    );
    let stats = node.ask("/api/v1/stats").await;
    let counted = |state: &str| {
        let mut counts = stats.as_array().unwrap().iter();
        let count = counts.find(|count| count["hook"] == "gone" && count["state"] == state);
        count.map(|count| count["deliveries"].as_i64().unwrap())
    };
    assert_eq!((counted("done"), counted("dead")), (Some(2), Some(2)));
    assert_eq!(
        (&all[0]["resolved_by"], &all[1]["replay_of"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        (&all[2]["resolved_by"], &all[5]["replay_of"]),
        (&json!(null), &json!(3))
    );
    let order = json!({ "hook": "gone", "dry_run": true });
    assert_eq!(
        node.order("/api/v1/replay", order).await["events"],
        1,
        "one event has no replay that is done"
    );
    assert_eq!(
        node.order("/api/v1/replay", json!({ "hook": "gone" }))
            .await["events"],
        1
    );
    assert_eq!(
        node.order("/api/v1/purge", json!({ "hook": "gone" })).await["deliveries"],
        7
    );
}
