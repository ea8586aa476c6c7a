//! The same cases for every place where events can wait: a file, Postgres, NATS JetStream, Pub/Sub and Cloud Tasks. Each case
//! asserts for each of them, or `NOT_APPLICABLE` says why it cannot.

use std::time::{Duration, SystemTime};

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::forged::envelope;
use landfall_tests::relay::Line;
use landfall_tests::require::not_applicable;
use landfall_tests::side_effects::{self, check};
use landfall_tests::{Node, Receiver, Setup, bundled, event_id, eventually, guest};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const STORE: &str =
    "[settings]\ntable = \"t\"\nfields = { n = \"/n\" }\n[allow]\ntable = [\"t\"]\n";

/// Case, backend, and why the case has nothing to assert there.
const NOT_APPLICABLE: [(&str, &str, &str); 5] = [
    (
        "events_not_stored_are_refused",
        "sqlite",
        "a file has no connection that can be cut; tests/durable.rs fills and breaks its disk",
    ),
    (
        "late_acknowledgements_are_waited_for",
        "sqlite",
        "a file has no connection; tests/durable.rs slows its syncs down",
    ),
    (
        "stored_but_unanswered_events_run_once",
        "sqlite",
        "the answer of a file cannot get lost; tests/kills.rs ends the node between commit and answer",
    ),
    (
        "what_is_too_large_is_refused",
        "sqlite",
        "a file takes every body that max_body allows",
    ),
    (
        "what_is_too_large_is_refused",
        "postgres",
        "the database takes every body that max_body allows",
    ),
];

macro_rules! cases {
    ($kind:ident, $backend:expr; $($case:ident)*) => {
        mod $kind {
            use super::Kind;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let (case, kind) = (stringify!($case), stringify!($kind));
                if let Some((.., why)) = super::NOT_APPLICABLE.iter().find(|(c, k, _)| (*c, *k) == (case, kind)) {
                    return super::not_applicable(why);
                }
                if let Some(backend) = super::Backend::start($backend).await {
                    super::$case(backend).await;
                }
            })*

            pub const CASES: &[&str] = &[$(stringify!($case)),*];
        }
    };
}

macro_rules! suite {
    ($($kind:ident: $backend:expr,)*) => {
        $(cases! { $kind, $backend;
            what_is_accepted_outlives_the_node
            events_not_stored_are_refused
            late_acknowledgements_are_waited_for
            stored_but_unanswered_events_run_once
            duplicates_run_once_other_bodies_run
            duplicate_of_a_dead_delivery_runs
            retries_are_never_early
            resolved_dead_letters_are_not_replayed
            discarded_deliveries_stay_discarded
            discarded_deliveries_run_when_asked
            waiting_deliveries_run_at_once
            purge_removes_a_gone_hook
            one_order_key_runs_in_order
            a_backlog_waits_for_its_hook
            what_is_too_large_is_refused
            auto_returns_the_reply_if_possible
            forged_messages_do_not_run
        })*

        const BACKENDS: &[(&str, &[&str])] = &[$((stringify!($kind), $kind::CASES)),*];
    };
}

#[test]
fn only_known_cases_are_exempt() {
    for (case, backend, why) in NOT_APPLICABLE {
        let known = BACKENDS
            .iter()
            .any(|(name, cases)| *name == backend && cases.contains(&case));
        assert!(known && !why.is_empty(), "{case} of {backend}");
    }
}

// The backends, one line each.
suite! {
    sqlite: Kind::Sqlite,
    postgres: Kind::Postgres,
    nats: Kind::Nats,
    nats_postgres: Kind::NatsPostgres,
    pubsub: Kind::PubSub,
    pubsub_push: Kind::PubSubPush,
    cloud_tasks: Kind::CloudTasks,
}

/// Every case runs with `queue.key`.
const KEY: &str = "the key of the queue, for tests";

async fn serving(backend: &Backend, setup: Setup, hook: &str) -> Node {
    let has_broker = backend
        .variables()
        .any(|(name, _)| name == "LANDFALL_QUEUE_URL");
    let setup = match has_broker {
        true => backend
            .under(setup)
            .env("LANDFALL_QUEUE_KEY", "env:QUEUE_KEY")
            .env("QUEUE_KEY", KEY),
        false => backend.under(setup),
    };
    let node = setup.serving(hook).await;
    node.until_ready().await;
    backend.calls(&[&node]).await;
    node
}

/// Whether an event with this number was accepted.
async fn post(node: &Node, n: usize) -> bool {
    let answer = node
        .try_post(
            "/side_effects",
            &[("id", &n.to_string())],
            json!({ "n": n }).to_string(),
        )
        .await;
    answer.is_some_and(|answer| answer.0 == 202)
}

/// As a sender does: a busy broker may take longer than the node waits for it.
async fn accept(node: &Node, n: usize) {
    eventually("it is accepted", || async {
        post(node, n).await.then_some(())
    })
    .await;
}

async fn what_is_accepted_outlives_the_node(backend: Backend) {
    const EVENTS: usize = 30;
    let node = serving(&backend, side_effects::setup("async"), "side_effects").await;
    for n in 0..EVENTS {
        accept(&node, n).await;
    }
    let node = serving(&backend, node.killed(), "side_effects").await;
    check(&node, EVENTS, &format!("{:?}", backend.kind)).await;
}

async fn events_not_stored_are_refused(backend: Backend) {
    let node = serving(&backend, side_effects::setup("async"), "side_effects").await;
    assert!(
        backend.line(Line::Cut),
        "{:?} has a line to cut",
        backend.kind
    );
    let answer = node
        .client
        .post(node.url("/side_effects"))
        .header("id", "0")
        .body("{\"n\":0}")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after")
        ),
        (503, true)
    );
    backend.line(Line::Whole);
    eventually("it is accepted when it can be", || async {
        post(&node, 0).await.then_some(())
    })
    .await;
    check(&node, 1, &format!("{:?}", backend.kind)).await;
}

async fn late_acknowledgements_are_waited_for(backend: Backend) {
    let hurried = format!("mode = \"async\"\nanswer_within = \"1s\"\n{OPEN}");
    let setup = side_effects::setup("async").hook("hurried", &bundled("echo"), &hurried);
    let node = serving(&backend, setup, "side_effects").await;
    node.until("hurried", "serving").await;

    assert!(
        backend.line(Line::Held),
        "{:?} has a line to hold",
        backend.kind
    );
    let patient = node.post("/side_effects", &[("id", "0")], "{\"n\":0}");
    let mut patient = std::pin::pin!(patient);
    tokio::select! {
        answer = &mut patient => panic!("{answer:?} before the answer that has one second"),
        answer = node.post("/hurried", &[], "{}") => assert_eq!(answer.0, 503, "{answer:?}"),
    }
    tokio::select! {
        answer = &mut patient => panic!("{answer:?} after less than three seconds"),
        () = tokio::time::sleep(Duration::from_secs(2)) => {}
    }
    backend.line(Line::Whole);
    // The broker has acknowledged the event. A busy machine may be too slow even so.
    let answer = patient.await;
    assert!(matches!(answer.0, 202 | 503), "{answer:?}");
    accept(&node, 0).await;
    check(&node, 1, &format!("{:?}", backend.kind)).await;
}

async fn stored_but_unanswered_events_run_once(backend: Backend) {
    let node = serving(&backend, side_effects::setup("async"), "side_effects").await;
    assert!(
        backend.be_unknown(true).await,
        "{:?} can lose its answer",
        backend.kind
    );
    assert!(
        !post(&node, 0).await,
        "the event was not acknowledged as stored"
    );
    // The retry is refused too, unless the event has come back meanwhile: then it is known.
    post(&node, 0).await;
    backend.be_unknown(false).await;
    eventually("it is accepted when it can be", || async {
        post(&node, 0).await.then_some(())
    })
    .await;
    check(&node, 1, &format!("{:?}", backend.kind)).await;
    // An event that was stored twice has run by now, or runs during this pause.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.rows("side_effects", "t").await.len(), 1);
}

pub(super) async fn duplicates_run_once_other_bodies_run(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}{STORE}[dedup]\nid = {{ header = \"Id\" }}\n");
    let node = serving(
        &backend,
        Setup::new().hook("store", &bundled("store"), &file),
        "store",
    )
    .await;
    for _ in 0..3 {
        assert_eq!(
            node.post("/store", &[("id", "7")], "{\"n\":7}").await.0,
            202
        );
    }
    node.until_states("store", &["done"]).await;
    assert_eq!(
        node.post("/store", &[("id", "7")], "{\"n\":8}").await.0,
        202
    );
    node.until_states("store", &["done", "done"]).await;
    assert_eq!(node.rows("store", "t").await.len(), 2);
    assert_eq!(
        node.post("/store", &[("id", "7")], "{\"n\":8}").await.0,
        202
    );
    let counted = eventually("every duplicate is counted", || async {
        let metrics = node.metrics().await;
        let of = |name: &str| {
            metrics
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        // A broker that detects a duplicate message drops it without a notice.
        (of("landfall_duplicates_total{hook=\"store\",result=\"not-run\"}")? > 0)
            .then(|| of("landfall_conflicts_total{hook=\"store\"}"))
    });
    assert_eq!(counted.await, Some(1));
    assert_eq!(node.rows("store", "t").await.len(), 2);
}

pub(super) async fn duplicate_of_a_dead_delivery_runs(backend: Backend) {
    let file = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 1\n[dedup]\nid = {{ header = \"Id\" }}\n"
    );
    let node = serving(
        &backend,
        Setup::new().hook("traps", &guest("traps"), &file),
        "traps",
    )
    .await;
    let ran = || async {
        node.ask("/api/events?hook=traps")
            .await
            .as_array()
            .map_or(0, Vec::len)
    };
    for times in 1..=3 {
        assert_eq!(node.post("/traps", &[("id", "7")], "{}").await.0, 202);
        eventually("the redelivery runs", || async {
            (ran().await == times).then_some(())
        })
        .await;
        node.until_states("traps", &vec!["dead"; times]).await;
    }
}

pub(super) async fn retries_are_never_early(backend: Backend) {
    let file = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 3\nbackoff = {{ first = \"1s\", factor = 1.0, max = \"1s\", jitter = 0.0 }}\n"
    );
    let node = serving(
        &backend,
        Setup::new().hook("traps", &guest("traps"), &file),
        "traps",
    )
    .await;
    let answer = node.post("/traps", &[], "{}").await;
    assert_eq!(answer.0, 202);
    let dead = node.until_states("traps", &["dead"]).await;
    assert_eq!(dead[0]["attempt"], 3);
    let shown = node
        .ask(&format!("/api/events/{}", event_id(&answer)))
        .await;
    let starts: Vec<i64> = shown["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(started_ms)
        .collect();
    assert_eq!(starts.len(), 3, "{shown}");
    assert!(
        starts.windows(2).all(|pair| pair[1] - pair[0] >= 995),
        "{starts:?}"
    );
    if backend.dead().await.is_some() {
        eventually("it is where the dead are", || async {
            (backend.dead().await? > 0).then_some(())
        })
        .await;
    }
    let digest = node.hook("traps").await.unwrap()["digest"].clone();
    node.put("traps.wasm", std::fs::read(guest("answers_one")).unwrap());
    node.until_changed("traps", &digest).await;
    for number in 1..=2 {
        assert_eq!(
            node.order("/api/replay", json!({ "events": [event_id(&answer)] }))
                .await["events"],
            1
        );
        eventually("the replay is done", || async {
            let all = node.deliveries("traps").await;
            let done = all
                .iter()
                .filter(|one| one["replayed"] == true && one["state"] == "done")
                .count();
            (done == number).then_some(())
        })
        .await;
    }
}

/// Another component for a hook, serving.
async fn replace(node: &Node, hook: &str, component: &str) {
    let digest = node.hook(hook).await.unwrap()["digest"].clone();
    node.put(
        &format!("{hook}.wasm"),
        std::fs::read(guest(component)).unwrap(),
    );
    node.until_changed(hook, &digest).await;
}

async fn resolved_dead_letters_are_not_replayed(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}[retry]\nattempts = 1\n");
    let node = serving(
        &backend,
        Setup::new().hook("traps", &guest("traps"), &file),
        "traps",
    )
    .await;
    let mut events = Vec::new();
    for n in 0..2 {
        events.push(event_id(&node.post("/traps", &[], n.to_string()).await));
    }
    node.until_states("traps", &["dead", "dead"]).await;
    replace(&node, "traps", "answers_one").await;

    assert_eq!(
        node.order("/api/replay", json!({ "events": [events[0]] }))
            .await["events"],
        1
    );
    let resolved = eventually("the replay has resolved it", || async {
        let all = node.deliveries("traps").await;
        let first = all
            .iter()
            .find(|one| one["event"] == *events[0] && one["replay_of"].is_null())?
            .clone();
        (first["state"] == "resolved").then_some((first, all))
    });
    let (first, all) = resolved.await;
    let replay = all
        .iter()
        .find(|one| one["delivery"] == first["resolved_by"])
        .unwrap();
    assert_eq!(
        (&replay["replay_of"], &replay["state"]),
        (&first["delivery"], &json!("done"))
    );

    let of_hook = json!({ "hook": "traps" });
    let dry = node
        .order("/api/replay", json!({ "hook": "traps", "dry_run": true }))
        .await;
    assert_eq!(
        (&dry["events"], &dry["shown"][0]["event"]),
        (&json!(1), &json!(events[1])),
        "{dry}"
    );
    assert_eq!(
        node.order("/api/replay", of_hook.clone()).await["events"],
        1
    );
    eventually("both are resolved", || async {
        let stats = node.ask("/api/stats").await;
        let resolved = stats
            .as_array()?
            .iter()
            .find(|one| one["state"] == "resolved")?["deliveries"]
            .clone();
        (resolved == 2).then_some(())
    })
    .await;
    assert_eq!(node.order("/api/replay", of_hook).await["events"], 0);
    assert_eq!(
        node.order("/api/replay", json!({ "hook": "traps", "again": true }))
            .await["events"],
        2
    );
}

/// A hook with one event that waits an hour for its next attempt, and that event.
async fn waiting(backend: &Backend) -> (Node, String) {
    let file = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 3\nbackoff = {{ first = \"1h\", factor = 1.0, max = \"1h\", jitter = 0.0 }}\n"
    );
    let node = serving(
        backend,
        Setup::new().hook("traps", &guest("traps"), &file),
        "traps",
    )
    .await;
    let event = event_id(&node.post("/traps", &[], "{}").await);
    eventually("its first attempt has failed", || async {
        let all = node.deliveries("traps").await;
        (all.first()?["due_in_ms"].as_u64()? > 60_000).then_some(())
    })
    .await;
    replace(&node, "traps", "answers_one").await;
    (node, event)
}

async fn discarded_deliveries_stay_discarded(backend: Backend) {
    let (mut node, event) = waiting(&backend).await;
    let of_event = json!({ "events": [event] });
    let without = node.order("/api/discard", of_event.clone()).await;
    assert!(
        without["error"].as_str().unwrap().contains("say why"),
        "{without}"
    );
    let order = json!({ "events": [event], "reason": "the account is closed" });
    assert_eq!(
        node.order("/api/discard", order.clone()).await["deliveries"],
        1
    );
    let again = node.order("/api/discard", order).await;
    assert_eq!(
        (&again["deliveries"], &again["skipped"]),
        (&json!(0), &json!(1))
    );
    let unknown =
        json!({ "events": ["0192f3a4-0000-7000-8000-000000000000"], "reason": "unknown" });
    assert_eq!(
        node.order("/api/discard", unknown).await["unknown"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    node.terminate();
    node.ended().await;
    let node = serving(&backend, node.killed(), "traps").await;
    let discarded = node.until_states("traps", &["discarded"]).await;
    assert_eq!(discarded[0]["discarded"], "the account is closed");
    let skipped = node.order("/api/replay", of_event).await;
    assert_eq!(
        (&skipped["events"], &skipped["discarded"]),
        (&json!(0), &json!(1)),
        "{skipped}"
    );
    assert_eq!(
        node.order("/api/replay", json!({ "hook": "traps" })).await["events"],
        0
    );
}

async fn discarded_deliveries_run_when_asked(backend: Backend) {
    let (node, event) = waiting(&backend).await;
    let order = json!({ "events": [event], "reason": "the account is closed" });
    assert_eq!(node.order("/api/discard", order).await["deliveries"], 1);
    let again = json!({ "events": [event], "again": true });
    assert_eq!(node.order("/api/replay", again).await["events"], 1);
    node.until_states("traps", &["resolved", "done"]).await;
}

pub(super) async fn waiting_deliveries_run_at_once(backend: Backend) {
    let (node, _) = waiting(&backend).await;
    let dry = node
        .order(
            "/api/retry-now",
            json!({ "hook": "traps", "dry_run": true }),
        )
        .await;
    assert_eq!(
        (&dry["deliveries"], dry["shown"].as_array().unwrap().len()),
        (&json!(1), 1),
        "{dry}"
    );
    assert_eq!(node.deliveries("traps").await[0]["state"], "pending");
    assert_eq!(
        node.order("/api/retry-now", json!({ "hook": "traps" }))
            .await["deliveries"],
        1
    );
    let done = node.until_states("traps", &["done"]).await;
    assert_eq!(done[0]["attempt"], 2);
    assert_eq!(
        node.order("/api/retry-now", json!({ "hook": "traps" }))
            .await["deliveries"],
        0
    );
}

async fn purge_removes_a_gone_hook(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}{STORE}[dedup]\nid = {{ header = \"Id\" }}\n");
    let node = serving(
        &backend,
        Setup::new().hook("store", &bundled("store"), &file),
        "store",
    )
    .await;
    for n in 0..2 {
        let n = n.to_string();
        assert_eq!(
            node.post("/store", &[("id", &n)], format!("{{\"n\":{n}}}"))
                .await
                .0,
            202
        );
    }
    node.until_states("store", &["done", "done"]).await;
    let of_hook = json!({ "hook": "store" });
    let refused = node.order("/api/purge", of_hook.clone()).await;
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("hook `store` exists"),
        "{refused}"
    );

    for file in ["store.toml", "store.wasm"] {
        std::fs::remove_file(node.plugins().join(file)).unwrap();
    }
    eventually("the hook is gone", || async {
        node.hook("store").await.is_none().then_some(())
    })
    .await;
    let dry = node
        .order("/api/purge", json!({ "hook": "store", "dry_run": true }))
        .await;
    assert_eq!(
        (&dry["deliveries"], &dry["rows"]),
        (&json!(2), &json!(2)),
        "{dry}"
    );
    assert_eq!(node.deliveries("store").await.len(), 2);
    eventually("all is removed", || async {
        (node.order("/api/purge", json!({ "hook": "store" })).await["done"] == true).then_some(())
    })
    .await;
    assert_eq!(node.deliveries("store").await.len(), 0);
    let dry = node
        .order("/api/purge", json!({ "hook": "store", "dry_run": true }))
        .await;
    for key in ["deliveries", "identities", "rows", "values"] {
        assert_eq!(dry[key], 0, "{dry}");
    }
}

/// Milliseconds of the day.
fn started_ms(attempt: &Value) -> i64 {
    let clock = attempt["started_at"]
        .as_str()
        .unwrap()
        .split('T')
        .nth(1)
        .unwrap()
        .trim_end_matches('Z')
        .to_owned();
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) * 1000.0).round() as i64
}

async fn one_order_key_runs_in_order(backend: Backend) {
    const EVENTS: usize = 24;
    let receiver = Receiver::start().await;
    let file = format!(
        "mode = \"async\"\nconcurrency = 4\norder_by = {{ json = \"/key\" }}\n{OPEN}[settings]\ntargets = [\"{at}\"]\n\
         [allow]\nhttp = [\"{at}\"]\n\
         [retry]\nattempts = 50\nbackoff = {{ first = \"200ms\", factor = 1.0, max = \"200ms\", jitter = 0.0 }}\n",
        at = receiver.url("/in")
    );
    let setup = Setup::new().hook("out", &bundled("forward"), &file);
    if !backend.keeps_order() {
        let node = backend.under(setup).start().await;
        let status = node.until("out", "unavailable").await;
        assert!(
            status["problem"]
                .as_str()
                .unwrap()
                .contains("Cloud Tasks keeps none"),
            "{status}"
        );
        assert_eq!(node.post("/out", &[], "{\"key\":0}").await.0, 503);
        return;
    }
    let node = serving(&backend, setup, "out").await;
    receiver.answer(503);
    for n in 0..EVENTS {
        assert_eq!(
            node.post("/out", &[], json!({ "key": n % 3, "n": n }).to_string())
                .await
                .0,
            202
        );
    }
    eventually("the first ones have failed", || async {
        (receiver.got().len() >= 3).then_some(())
    })
    .await;
    receiver.answer(200);
    node.until_states("out", &["done"; EVENTS]).await;
    let came: Vec<Value> = receiver
        .got()
        .iter()
        .map(|got| serde_json::from_slice(&got.body).unwrap())
        .collect();
    for key in 0..3 {
        let numbers = came
            .iter()
            .filter(|one| one["key"] == key)
            .map(|one| one["n"].as_u64().unwrap());
        let numbers: Vec<u64> = numbers.collect();
        assert!(numbers.is_sorted(), "key {key}: {numbers:?}");
    }
}

async fn a_backlog_waits_for_its_hook(backend: Backend) {
    const EVENTS: usize = 100;
    let node = serving(&backend, side_effects::setup("async"), "side_effects").await;
    assert_eq!(
        node.order("/api/hooks/side_effects/pause", json!({})).await["paused"],
        true
    );
    for n in 0..EVENTS {
        accept(&node, n).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(node.rows("side_effects", "t").await.len(), 0);
    node.order("/api/hooks/side_effects/resume", json!({}))
        .await;
    check(&node, EVENTS, &format!("{:?}", backend.kind)).await;
}

async fn what_is_too_large_is_refused(backend: Backend) {
    let file = format!("mode = \"async\"\nmax_body = \"16MiB\"\n{OPEN}{STORE}");
    let node = serving(
        &backend,
        Setup::new().hook("store", &bundled("store"), &file),
        "store",
    )
    .await;
    let most = match backend.kind {
        Kind::Sqlite | Kind::Postgres => unreachable!("not applicable"),
        Kind::Nats | Kind::NatsPostgres => 1 << 20,
        Kind::PubSub | Kind::PubSubPush => 6_000_000,
        Kind::CloudTasks => 950_000,
        Kind::Url(url) => panic!("the largest event of {url} belongs here"),
    };
    assert_eq!(node.post("/store", &[], vec![b' '; most + 1]).await.0, 413);
    node.until_log("that the queue takes: lower max_body").await;
    let fits = [b"{\"n\":1}".to_vec(), vec![b' '; most - 4096]].concat();
    // A broker that is slow to acknowledge a large message is answered 503, and senders come again.
    eventually("a body of the largest size is accepted", || async {
        let status = node.post("/store", &[], fits.clone()).await.0;
        assert!(matches!(status, 202 | 503), "{status}");
        (status == 202).then_some(())
    })
    .await;
    eventually("it is done", || async {
        let deliveries = node.deliveries("store").await;
        let is_done = |one: &serde_json::Value| one["state"] == "done";
        (!deliveries.is_empty() && deliveries.iter().all(is_done)).then_some(())
    })
    .await;
}

async fn auto_returns_the_reply_if_possible(backend: Backend) {
    let file = format!("mode = \"auto\"\n{OPEN}");
    let node = serving(
        &backend,
        Setup::new().hook("quick", &guest("answers_one"), &file),
        "quick",
    )
    .await;
    let (status, body) = node.post("/quick", &[], "{}").await;
    let expected = match backend.kind {
        Kind::PubSub | Kind::PubSubPush | Kind::CloudTasks => 202,
        _ => 200,
    };
    assert_eq!(status, expected, "{body}");
    node.until_states("quick", &["done"]).await;
}

async fn forged_messages_do_not_run(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}{STORE}");
    let node = serving(
        &backend,
        Setup::new().hook("store", &bundled("store"), &file),
        "store",
    )
    .await;
    if !backend
        .publish(&node, "store", &envelope("store", "{\"n\":1}", None))
        .await
    {
        return;
    }
    let refused = async |node: &Node, count: u32| {
        let line = format!("landfall_messages_refused_total{{reason=\"unverified\"}} {count}");
        eventually(&line, || async {
            node.metrics()
                .await
                .lines()
                .find(|one| *one == line)
                .map(drop)
        })
        .await
    };
    refused(&node, 1).await;
    let has_own_place = backend.dead().await.is_some();
    match has_own_place {
        true => {
            eventually("it is a dead letter", || async {
                (backend.dead().await == Some(1)).then_some(())
            })
            .await
        }
        false => drop(node.until_states("_queue", &["dead"]).await),
    }

    // Another key, a genuine envelope under the name of another hook, and one of our own.
    backend
        .publish(
            &node,
            "store",
            &envelope("store", "{\"n\":2}", Some("the key of another queue")),
        )
        .await;
    refused(&node, 2).await;
    if has_own_place {
        backend
            .publish(&node, "store", &envelope("other", "{\"n\":3}", Some(KEY)))
            .await;
        node.until_log("it is of hook other").await;
    }
    assert_eq!(node.post("/store", &[], "{\"n\":4}").await.0, 202);
    node.until_states("store", &["done"]).await;
    let rows = node.rows("store", "t").await;
    assert_eq!(
        rows.iter().map(|row| &row["row"]["n"]).collect::<Vec<_>>(),
        [4],
        "{rows:?}"
    );
    refused(&node, 2).await;
    let explained = node.ask("/api/refusals").await.to_string();
    assert!(
        explained.contains("_queue") && explained.contains("MAC"),
        "{explained}"
    );

    // An envelope with a valid MAC runs, regardless of its publisher.
    backend
        .publish(&node, "store", &envelope("store", "{\"n\":5}", Some(KEY)))
        .await;
    node.until_states("store", &["done", "done"]).await;

    // The operator sets a time until which messages without a MAC run.
    let until = SystemTime::now() + Duration::from_secs(86_400);
    let until = humantime::format_rfc3339_seconds(until).to_string();
    let setup = node
        .killed()
        .env("LANDFALL_QUEUE_ACCEPT_UNSEALED_UNTIL", &until);
    let node = serving(&backend, setup, "store").await;
    assert!(
        node.log()
            .contains(&format!("until {until} a message without a MAC runs too"))
    );
    backend
        .publish(&node, "store", &envelope("store", "{\"n\":6}", None))
        .await;
    node.until_states("store", &["done", "done", "done"]).await;
    backend
        .publish(
            &node,
            "store",
            &envelope("store", "{\"n\":7}", Some("the key of another queue")),
        )
        .await;
    refused(&node, 1).await;
}
