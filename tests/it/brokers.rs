//! Several nodes that share a broker and a database, under load: nodes are killed and stopped, the broker is killed and stopped, lines
//! are bad; what was acknowledged is done, and what handlers leave is there once.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::faults::rounds;
use landfall_tests::google::ACCOUNT;
use landfall_tests::relay::{self, Line};
use landfall_tests::require::missing;
use landfall_tests::side_effects::{check, deliver, serving, setup};
use landfall_tests::{Nats, Node, Postgres, Setup, bundled, event_id, eventually, guest, landfall};
use serde_json::json;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
/// Of the host.
const LEASE: Duration = Duration::from_secs(30);

async fn three(backend: &Backend) -> [Node; 3] {
    let fresh = backend.under(setup("async"));
    let (one, two, three) =
        tokio::join!(serving(fresh.copy()), serving(fresh.copy()), serving(fresh));
    backend.calls(&[&one, &two, &three]).await;
    [one, two, three]
}

/// One node is killed under load and restarted, another is stopped with the leases it holds, and `fault` adds its own failure.
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
    let states = server.sql(
        database,
        "SELECT count(*) FROM landfall.deliveries WHERE state < 2",
    );
    assert_eq!(states, "0", "each is done or dead");
    let attempts = server.sql(
        database,
        "SELECT count(*) - count(DISTINCT delivery) FROM landfall.attempts",
    );
    println!(
        "{:?}: {events} events over three nodes, {again} times without an answer of 2xx; lost 0, twice 0; attempts run again: {attempts}",
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
async fn only_the_queue_itself_may_call() {
    let Some(backend) = Backend::start(Kind::CloudTasks).await else {
        return;
    };
    let file = format!("mode = \"async\"\n{OPEN}");
    let node = backend
        .under(Setup::new().hook("quick", &guest("answers_one"), &file))
        .serving("quick")
        .await;
    node.until_ready().await;
    let front = backend.front().expect("it calls");
    let push = node.url("/_landfall/push");
    let call = async |token: Option<String>, body: &'static str| {
        let request = node.client.post(&push).body(body);
        let request = token
            .iter()
            .fold(request, |request, token| request.bearer_auth(token));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(node.client.get(&push).send().await.unwrap().status(), 405);
    assert_eq!(call(None, "x").await, 401);
    assert_eq!(call(Some("a.b.c".into()), "x").await, 401);
    assert_eq!(
        call(
            Some(front.token("https://elsewhere.example", ACCOUNT).await),
            "x"
        )
        .await,
        401
    );
    assert_eq!(
        call(
            Some(
                front
                    .token(&front.at, "other@p.iam.gserviceaccount.com")
                    .await
            ),
            "x"
        )
        .await,
        401
    );
    let good = front.token(&front.at, ACCOUNT).await;
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    assert_eq!(call(Some(forged), "x").await, 401);
    assert_eq!(call(Some(good), "x").await, 204, "the ledger has it");
    let dead = node.until_states("_queue", &["dead"]).await;
    undecodable_messages_do_not_run(&node, dead[0]["event"].as_str().unwrap()).await;
    node.until_log("a message of the queue is not run").await;
    assert!(node.deliveries("quick").await.is_empty());
    // Where nothing calls, nothing is there to be called.
    let plain = Setup::new()
        .hook("quick", &guest("answers_one"), &file)
        .serving("quick")
        .await;
    plain.until_ready().await;
    assert_eq!(
        plain
            .client
            .post(plain.url("/_landfall/push"))
            .body("x")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_or_unfit_queues_are_explained() {
    let hooks = || Setup::new().hook("quick", &guest("answers_one"), OPEN);
    if let Some(backend) = Backend::start(Kind::PubSub).await {
        for (key, value, words) in [
            (
                "URL",
                "pubsub://p/absent",
                "gcloud pubsub topics create absent --project=p",
            ),
            (
                "SUBSCRIPTION",
                "absent",
                "gcloud pubsub subscriptions create absent --topic=",
            ),
            (
                "DEAD_LETTER",
                "absent",
                "gcloud pubsub topics create absent --project=p",
            ),
        ] {
            let log = backend
                .under(hooks())
                .env(&format!("LANDFALL_QUEUE_{key}"), value)
                .refusal()
                .await;
            assert!(log.contains(words), "{key}: {log}");
        }
        let pushed = backend
            .under(hooks())
            .env("LANDFALL_QUEUE_PUSH_TO", "http://127.0.0.1:9");
        let log = pushed
            .env("LANDFALL_QUEUE_PUSH_ACCOUNT", ACCOUNT)
            .refusal()
            .await;
        assert!(
            log.contains("does not push to http://127.0.0.1:9/_landfall/push"),
            "{log}"
        );
    }
    if let Some(backend) = Backend::start(Kind::CloudTasks).await {
        let log = backend
            .under(hooks())
            .env("LANDFALL_QUEUE_URL", "cloudtasks://p/l/missing")
            .refusal()
            .await;
        assert!(
            log.contains("gcloud tasks queues create missing --location=l --project=p"),
            "{log}"
        );
    }
    if let Some(backend) = Backend::start(Kind::Nats).await {
        let node = backend.under(hooks()).serving("quick").await;
        node.until_log("the server syncs every write").await;
        let queue = node.ask("/api/queue").await;
        assert!(
            queue["accepts"] == true && queue["facts"].to_string().contains("syncs every write"),
            "{queue}"
        );
        let config = node.plugins();
        let doctor = || {
            let mut command = Command::new(landfall());
            command
                .arg("doctor")
                .arg("--plugins")
                .arg(&config)
                .envs(backend.variables());
            command
        };
        let output = doctor().output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("the server syncs every write"),
            "{said}"
        );
        let output = doctor()
            .env("LANDFALL_QUEUE_URL", "nats://127.0.0.1:9")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            !output.status.success() && said.contains("cannot be reached: IO error"),
            "{said}"
        );
        drop(node);
        let log = backend
            .under(hooks())
            .env("LANDFALL_QUEUE_STORAGE", "memory")
            .refusal()
            .await;
        assert!(log.contains("name another one in queue.stream"), "{log}");
    }
    let secret = "canary-password";
    let away = hooks()
        .env(
            "LANDFALL_QUEUE_URL",
            &format!("nats://u:{secret}@127.0.0.1:9"),
        )
        .start()
        .await;
    away.until_log("the queue cannot be reached").await;
    let ready = away
        .client
        .get(format!("http://{}/readyz", away.admin))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    assert!(!away.log().contains(secret), "{}", away.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_uses_tls_and_hidden_passwords() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &str| {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(dir.path())
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    std::fs::write(dir.path().join("names"), "subjectAltName=DNS:localhost").unwrap();
    let made = openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
    ) && openssl(
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
    ) && openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem -extfile names",
    );
    if !made {
        missing("openssl is not installed");
        return;
    }
    let (path, secret) = (dir.path().display(), "canary-password");
    let settings = format!(
        "authorization {{ user: landfall, password: \"{secret}\" }}\ntls {{ cert_file: \"{path}/cert.pem\", key_file: \"{path}/key.pem\" }}"
    );
    let Some(server) = Nats::with(&settings).await else {
        return;
    };
    let setup = || {
        let file = format!("mode = \"async\"\n{OPEN}");
        let setup = Setup::new().hook("quick", &guest("answers_one"), &file);
        setup
            .env("SSL_CERT_FILE", &format!("{path}/ca.pem"))
            .env("NATS_PASSWORD", secret)
    };
    let url = |user: &str| format!("tls://{user}@localhost:{}", server.port());
    let node = setup()
        .env("LANDFALL_QUEUE_URL", &url("landfall:${env:NATS_PASSWORD}"))
        .serving("quick")
        .await;
    node.until_ready().await;
    assert_eq!(node.post("/quick", &[], "{}").await.0, 202);
    node.until_states("quick", &["done"]).await;
    let log = setup()
        .env("LANDFALL_QUEUE_URL", &url("absent:${env:NATS_PASSWORD}"))
        .refusal()
        .await;
    assert!(log.contains("authorization violation"), "{log}");
    let unknown = setup()
        .env("LANDFALL_QUEUE_URL", &url("landfall:${env:NATS_PASSWORD}"))
        .env("SSL_CERT_FILE", "/dev/null");
    let other = unknown.try_start().await.map(|node| node.log());
    assert!(
        [&node.log(), &log].iter().all(|log| !log.contains(secret))
            && other.is_none_or(|log| !log.contains(secret))
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
    assert_eq!(node.post("/quick", &[], "{}").await.0, 202);
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
async fn topics_without_subscription_accept_no_events() {
    let Some(backend) = Backend::start(Kind::PubSub).await else {
        return;
    };
    let file = format!("mode = \"async\"\n{OPEN}");
    let node = backend
        .under(Setup::new().hook("quick", &guest("answers_one"), &file))
        .serving("quick")
        .await;
    node.until_ready().await;
    assert_eq!(node.post("/quick", &[], "{}").await.0, 202);
    node.until_states("quick", &["done"]).await;
    backend.topic().expect("it has one").unsubscribe().await;
    eventually("events are refused", || async {
        (node.post("/quick", &[], "{}").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(node.ask("/api/queue").await["accepts"], false);
    node.until_log("gcloud pubsub subscriptions create").await;
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
async fn events_lost_by_broker_are_replayable() {
    let Some(server) = Nats::start().await else {
        return;
    };
    // Without an id of the sender the broker knows the event by its own.
    let slow = "[retry]\nattempts = 5\nbackoff = { first = \"10m\", factor = 1.0, max = \"10m\", jitter = 0.0 }\n";
    let file = format!("mode = \"async\"\n{OPEN}{slow}");
    let setup = Setup::new()
        .hook("traps", &guest("traps"), &file)
        .env("LANDFALL_QUEUE_URL", &server.url());
    let node = setup
        .env("LANDFALL_QUEUE_STORAGE", "memory")
        .serving("traps")
        .await;
    node.until_ready().await;
    let answer = node.post("/traps", &[], "{}").await;
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
    assert_eq!(node.order("/api/replay", order.clone()).await["events"], 1);
    let done = node.until_states("traps", &["done"]).await;
    assert_eq!(
        (&done[0]["attempt"], &done[0]["replayed"]),
        (&json!(2), &json!(true)),
        "its history is kept"
    );
    // One wish is one run, however often it is said while the hook is paused.
    node.order("/api/hooks/traps/pause", json!({})).await;
    let told: Vec<_> = [
        node.order("/api/replay", order.clone()).await,
        node.order("/api/replay", order).await,
    ]
    .into();
    assert_eq!(
        (&told[0]["events"], &told[1]["waiting"]),
        (&json!(1), &json!(1)),
        "{told:?}"
    );
    node.order("/api/hooks/traps/resume", json!({})).await;
    node.until_states("traps", &["done", "done"]).await;
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
