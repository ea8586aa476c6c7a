//! Several nodes that share a broker and a database, under load: nodes are killed and stopped, the
//! broker is killed and stopped, lines are bad; what was acknowledged is done, and what handlers
//! leave is there once.

mod faults;
mod setup;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::faults::rounds;
use landfall_tests::side_effects::{deliver, serving, setup};
use landfall_tests::{Node, Postgres, Setup, bundled, eventually, guest};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// A message whose node is silent for this long is redelivered.
const LEASE: Duration = Duration::from_secs(30);

/// The lease in a ledger that several nodes share.
const SHARED_LEASE: Duration = Duration::from_secs(7);

async fn three(backend: &Backend) -> [Node; 3] {
    let fresh = backend.under(setup("async"));
    let (one, two, three) =
        tokio::join!(serving(fresh.copy()), serving(fresh.copy()), serving(fresh));
    backend.calls(&[&one, &two, &three]).await;
    [one, two, three]
}

/// What a stopped node ran is run elsewhere, and its own end counts no more.
async fn is_fenced(kind: Kind) {
    let Some(backend) = Backend::shared(kind).await else {
        return;
    };
    let file = format!("mode = \"async\"\n{OPEN}[settings]\nms = 8000\n");
    let fresh = backend.under(Setup::new().hook("slow", &guest("sleeps"), &file));
    let one = fresh.copy().serving("slow").await;
    one.until_ready().await;
    assert_eq!(one.post("/slow", &[], "{}").await.0, 202);
    one.until_states("slow", &["running"]).await;
    one.signal("STOP");
    let stopped = Instant::now();
    let two = fresh.serving("slow").await;
    let done = eventually_within(6 * LEASE, async || {
        let found = two.deliveries("slow").await;
        found.first().filter(|one| one["state"] == "done").cloned()
    })
    .await;
    println!("{kind:?}: taken over after {:?}", stopped.elapsed());
    assert_eq!(done["attempt"], 2);
    one.signal("CONT");
    one.until_log("another node has the lease").await;
    assert_eq!(two.deliveries("slow").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_fences_out_a_stopped_node() {
    is_fenced(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_fences_out_a_stopped_node() {
    is_fenced(Kind::NatsPostgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pubsub_fences_out_a_stopped_node() {
    is_fenced(Kind::PubSub).await;
}

async fn eventually_within<T>(time: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + time;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < until, "waited {time:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_nodes_reply_reaches_the_caller() {
    let Some(backend) = Backend::shared(Kind::NatsPostgres).await else {
        return;
    };
    let file = format!("mode = \"auto\"\n{OPEN}");
    let fresh = backend.under(Setup::new().hook("quick", &guest("answers_one"), &file));
    // Replies between nodes carry a MAC too.
    let fresh = fresh
        .env("LANDFALL_QUEUE_KEY", "env:QUEUE_KEY")
        .env("QUEUE_KEY", "the key of both nodes");
    let (one, two) = tokio::join!(fresh.copy().serving("quick"), fresh.serving("quick"));
    one.until_ready().await;
    two.until_ready().await;
    let mut ran_elsewhere = false;
    for n in 0..40 {
        let begun = Instant::now();
        let (status, body) = one.post("/quick", &[], "{}").await;
        assert_eq!(status, 200, "{n} after {:?}: {body}", begun.elapsed());
        ran_elsewhere |= two.log().contains("\"attempt\"");
    }
    assert!(ran_elsewhere, "both take their share");
}

#[tokio::test(flavor = "multi_thread")]
async fn undecodable_messages_die_newer_ones_wait() {
    let Some(backend) = Backend::start(Kind::Nats).await else {
        return;
    };
    let file = format!("mode = \"async\"\n{OPEN}");
    let node = backend
        .under(Setup::new().hook("quick", &guest("answers_one"), &file))
        .serving("quick")
        .await;
    node.until_ready().await;
    let nats = backend.nats().expect("it is the one");
    nats.send("landfall.quick.all", b"none of ours").await;
    eventually("it is among the dead", || async {
        (nats.messages("landfall-dead").await? == 1).then_some(())
    })
    .await;
    nats.send("landfall.quick.all", b"{\"landfall\":2}\nof a newer host")
        .await;
    node.until_log("waits for a newer host").await;
    assert_eq!(
        (
            nats.messages("landfall").await,
            nats.messages("landfall-dead").await
        ),
        (Some(1), Some(1))
    );
    assert!(node.deliveries("quick").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_share_the_work() {
    for kind in [
        Kind::Postgres,
        Kind::NatsPostgres,
        Kind::PubSub,
        Kind::PubSubPush,
        Kind::CloudTasks,
    ] {
        let Some(backend) = Backend::shared(kind).await else {
            continue;
        };
        let store =
            "[settings]\ntable = \"t\"\nfields = { n = \"/n\" }\n[allow]\ntable = [\"t\"]\n";
        let file = format!("mode = \"async\"\n{OPEN}{store}[dedup]\nid = {{ header = \"Id\" }}\n");
        let fresh = backend.under(Setup::new().hook("side_effects", &bundled("store"), &file));
        let mut nodes: Vec<Node> = Vec::new();
        let (mut sent, mut told) = (0, Vec::new());
        let events = rounds(100, 2000);
        for count in 1..=3 {
            let node = fresh.copy().serving("side_effects").await;
            node.until_ready().await;
            nodes.push(node);
            backend.calls(&nodes.iter().collect::<Vec<_>>()).await;
            let at = Arc::new(Mutex::new(nodes.iter().map(|node| node.public).collect()));
            let begun = Instant::now();
            deliver(at, sent..sent + events).await;
            sent += events;
            let expected = sent.to_string();
            let database = backend.database.as_deref().expect("they share one");
            eventually("all are done", || async {
                let done = Postgres::shared()?.sql(
                    database,
                    "SELECT count(*) FROM landfall.deliveries WHERE state = 2",
                );
                (done == expected).then_some(())
            })
            .await;
            told.push(format!(
                "{count}: {:.0}/s",
                events as f64 / begun.elapsed().as_secs_f64()
            ));
        }
        let database = backend.database.as_deref().expect("they share one");
        let rows = Postgres::shared()
            .expect("it runs")
            .sql(database, "SELECT count(*) FROM landfall.rows");
        assert_eq!(rows, sent.to_string(), "{kind:?}: each has left one");
        println!(
            "{kind:?}, accepted and done, by the number of nodes on this machine: {}",
            told.join(", ")
        );
    }
}

/// A replay would wait for a hook that cannot exist.
async fn undecodable_messages_do_not_run(node: &Node, event: &str) {
    let run = |line: &str| {
        let output = node.command().args(line.split(' ')).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    for line in [
        &format!("events replay {event}"),
        &format!("events replay {event} --dry-run"),
        "events replay --hook _queue --again",
    ] {
        let (code, said) = run(line);
        assert!(
            code == Some(1)
                && said.contains("0 events")
                && said.contains("1 message of the broker could not be decoded"),
            "{line}: {said}"
        );
    }
    node.until_states("_queue", &["dead"]).await;
    let (code, said) = run("events discard --hook _queue --reason seen");
    assert!(
        code == Some(0) && said.contains("1 delivery discarded"),
        "{said}"
    );
}
