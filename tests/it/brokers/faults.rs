//! Nodes, servers and connections that fail while events arrive.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::faults::rounds;
use landfall_tests::relay::{self, Line};
use landfall_tests::side_effects::{check, deliver, serving, setup};
use landfall_tests::{Nats, Postgres, Receiver, Setup, event_id, eventually, guest};
use serde_json::json;

use super::{LEASE, OPEN, SHARED_LEASE, three};

/// One node is killed under load and restarted, another is stopped with the leases it holds, and
/// `fault` adds its own failure.
async fn nodes_may_die(backend: Backend, events: usize, fault: impl AsyncFnOnce(&Backend)) {
    let [one, two, three] = three(&backend).await;
    let at = Arc::new(Mutex::new(vec![one.public, two.public, three.public]));
    let third = events / 3;
    let sending = tokio::spawn(deliver(at.clone(), 0..third));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let setup = one.killed();
    backend.calls(&[&two, &three]).await;
    let one = serving(setup).await;
    at.lock().unwrap()[0] = one.public;
    backend.calls(&[&one, &two, &three]).await;
    let mut again = sending.await.unwrap();
    two.signal("STOP");
    let stopped = Instant::now();
    at.lock().unwrap().remove(1);
    backend.calls(&[&one, &three]).await;
    again += deliver(at.clone(), third..2 * third).await;
    let sending = tokio::spawn(deliver(at.clone(), 2 * third..events));
    tokio::time::sleep(Duration::from_millis(200)).await;
    fault(&backend).await;
    again += sending.await.unwrap();
    // The stopped node wakes after other nodes have taken over its leases.
    tokio::time::sleep((LEASE + Duration::from_secs(12)).saturating_sub(stopped.elapsed())).await;
    two.signal("CONT");
    check(&three, events, &format!("{:?}", backend.kind)).await;
    let server = Postgres::shared().expect("it runs");
    let database = backend.database.as_deref().expect("they share one");
    // A look that was accepted twice, since its first answer was lost, may still run.
    eventually("each is done or dead", || async {
        let open = "SELECT count(*) FROM landfall.deliveries WHERE state < 2";
        (server.sql(database, open) == "0").then_some(())
    })
    .await;
    let attempts = server.sql(
        database,
        "SELECT count(*) - count(DISTINCT delivery) FROM landfall.attempts",
    );
    println!(
        "{:?}: {events} events over three nodes, {again} times without an answer of 2xx; lost 0, \
         twice 0; attempts run again: {attempts}",
        backend.kind
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_survives_node_and_server_failures() {
    let Some(backend) = Backend::shared(Kind::NatsPostgres).await else {
        return;
    };
    nodes_may_die(backend, rounds(300, 900), async |backend| {
        let nats = backend.nats().expect("it is the one");
        nats.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        nats.start_again().await;
        nats.signal("STOP");
        tokio::time::sleep(Duration::from_secs(4)).await;
        nats.signal("CONT");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pubsub_push_survives_node_failures() {
    let Some(backend) = Backend::shared(Kind::PubSubPush).await else {
        return;
    };
    nodes_may_die(backend, rounds(150, 900), async |backend| {
        backend.line(Line::Cut);
        tokio::time::sleep(Duration::from_secs(1)).await;
        backend.line(Line::Whole);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pubsub_pull_survives_node_failures() {
    let Some(backend) = Backend::shared(Kind::PubSub).await else {
        return;
    };
    nodes_may_die(backend, rounds(150, 900), async |backend| {
        backend.line(Line::Mute);
        tokio::time::sleep(Duration::from_secs(3)).await;
        backend.line(Line::Whole);
    })
    .await;
}

/// The other node would take over an expired lease.
#[tokio::test(flavor = "multi_thread")]
async fn mute_brokers_cost_no_leases() {
    let Some(backend) = Backend::shared(Kind::PubSub).await else {
        return;
    };
    let receiver = Receiver::start().await;
    receiver.hold();
    let hook = receiver.hook_of_waits("mode = \"async\"\n");
    let fresh = backend.under(Setup::new().hook("slow", &guest("waits"), &hook));
    let one = fresh.copy().serving("slow").await;
    one.until_ready().await;
    assert_eq!(one.deliver("/slow", &[], "{}").await.0, 202);
    receiver.until_called(1).await;
    // Not through the line that is mute.
    let direct = backend.topic().expect("it is Pub/Sub").host();
    let two = fresh
        .env("PUBSUB_EMULATOR_HOST", &direct)
        .serving("slow")
        .await;
    two.until_ready().await;
    backend.line(Line::Mute);
    tokio::time::sleep(4 * SHARED_LEASE).await;
    backend.line(Line::Whole);
    let logs = [one.log(), two.log()].concat();
    assert!(!logs.contains("leases have run out"), "{logs}");
    receiver.release();
    let done = two.until_states("slow", &["done"]).await;
    assert_eq!(done[0]["attempt"], 1);
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_cloud_tasks_nodes_may_die() {
    let Some(backend) = Backend::shared(Kind::CloudTasks).await else {
        return;
    };
    nodes_may_die(backend, rounds(150, 900), async |backend| {
        let front = backend.front().expect("it calls");
        front.fault(json!("down")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        front.fault(json!("unknown")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        front.fault(json!(null)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_nats_connections_lose_nothing() {
    let (Some(server), Some(database)) = (Nats::start().await, Postgres::shared()) else {
        return;
    };
    let port = relay::bad_line(server.port()).await;
    let fresh = setup("auto").env("LANDFALL_LEDGER_URL", &database.database());
    let node = serving(fresh.env("LANDFALL_QUEUE_URL", &format!("nats://127.0.0.1:{port}"))).await;
    node.until_ready().await;
    let events = rounds(120, 900);
    let again = deliver(Arc::new(Mutex::new(vec![node.public])), 0..events).await;
    check(&node, events, "through a bad line").await;
    println!("{events} events, {again} times without an answer of 2xx; lost 0, twice 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn emitting_and_starting_never_deadlock() {
    let Some(backend) = Backend::shared(Kind::NatsPostgres).await else {
        return;
    };
    let node = serving(backend.under(setup("async"))).await;
    node.until_ready().await;
    let events = rounds(100, 1000);
    deliver(Arc::new(Mutex::new(vec![node.public])), 0..events).await;
    check(&node, events, "emissions").await;
    // The server's counts are a little late.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let database = backend.database.as_deref().expect("it has one");
    let asked = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'");
    assert_eq!(
        Postgres::shared().expect("it runs").sql(database, &asked),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_stream_is_created_again() {
    let Some(server) = Nats::start().await else {
        return;
    };
    let file = format!("mode = \"async\"\n{OPEN}");
    let setup = Setup::new()
        .hook("quick", &guest("answers_one"), &file)
        .env("LANDFALL_QUEUE_URL", &server.url());
    let node = setup
        .env("LANDFALL_QUEUE_STORAGE", "memory")
        .serving("quick")
        .await;
    node.until_ready().await;
    assert_eq!(node.deliver("/quick", &[], "{}").await.0, 202);
    node.until_states("quick", &["done"]).await;
    // What is in memory is gone with the server, and the stream too.
    server.kill();
    server.start_again().await;
    eventually("it accepts again", || async {
        let answer = node.try_post("/quick", &[], "{}".into()).await?;
        assert!([202, 503].contains(&answer.0), "{answer:?}");
        (answer.0 == 202).then_some(())
    })
    .await;
    eventually("and runs", || async {
        (node.deliveries("quick").await.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_outages_cost_no_attempts() {
    let Some(backend) = Backend::shared(Kind::NatsPostgres).await else {
        return;
    };
    let file = format!("mode = \"async\"\n{OPEN}[retry]\nattempts = 1\n");
    let node = backend
        .under(Setup::new().hook("quick", &guest("answers_one"), &file))
        .serving("quick")
        .await;
    node.until_ready().await;
    backend.ledger_line(Line::Cut);
    let kept = eventually("the broker still accepts", || async {
        node.try_post("/quick", &[], "{}".into()).await
    })
    .await;
    let events = usize::from(kept.0 == 202);
    tokio::time::sleep(Duration::from_secs(5)).await;
    backend.ledger_line(Line::Whole);
    assert_eq!(
        node.until_states("quick", &vec!["done"; events])
            .await
            .iter()
            .filter(|one| one["attempt"] != 1)
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_lost_by_broker_are_replayable() {
    let Some(server) = Nats::start().await else {
        return;
    };
    // Without an id of the sender the broker knows the event by its own.
    let slow = "[retry]\nattempts = 5\n\
                backoff = { first = \"10m\", factor = 1.0, max = \"10m\", jitter = 0.0 }\n";
    let file = format!("mode = \"async\"\n{OPEN}{slow}");
    let setup = Setup::new()
        .hook("traps", &guest("traps"), &file)
        .env("LANDFALL_QUEUE_URL", &server.url());
    let node = setup
        .env("LANDFALL_QUEUE_STORAGE", "memory")
        .serving("traps")
        .await;
    node.until_ready().await;
    let answer = node.deliver("/traps", &[], "{}").await;
    eventually("it has failed once", || async {
        let all = node.deliveries("traps").await;
        (all.first()?["attempt"] == 1 && all[0]["state"] == "pending").then_some(())
    })
    .await;
    server.kill();
    server.start_again().await;
    let digest = node.hook("traps").await.unwrap()["digest"].clone();
    node.put("traps.wasm", std::fs::read(guest("answers_one")).unwrap());
    node.until_changed("traps", &digest).await;
    node.until_ready().await;
    let order = json!({ "events": [event_id(&answer)] });
    assert_eq!(
        node.order("/api/v1/replay", order.clone()).await["events"],
        1
    );
    let done = node.until_states("traps", &["done"]).await;
    assert_eq!(
        (&done[0]["attempt"], &done[0]["replayed"]),
        (&json!(2), &json!(true)),
        "its history is kept"
    );
    // One wish is one run, however often it is said while the hook is paused.
    node.order("/api/v1/hooks/traps/pause", json!({})).await;
    let told: Vec<_> = [
        node.order("/api/v1/replay", order.clone()).await,
        node.order("/api/v1/replay", order).await,
    ]
    .into();
    assert_eq!(
        (&told[0]["events"], &told[1]["waiting"]),
        (&json!(1), &json!(1)),
        "{told:?}"
    );
    node.order("/api/v1/hooks/traps/resume", json!({})).await;
    node.until_states("traps", &["done", "done"]).await;
}
