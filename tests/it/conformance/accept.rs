//! Cases about what is accepted, and how often it runs.

use std::time::{Duration, SystemTime};

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::forged::envelope;
use landfall_tests::relay::Line;
use landfall_tests::side_effects::{self, check};
use landfall_tests::{Node, Setup, bundled, eventually, guest};

use super::{KEY, OPEN, STORE, accept, post, serving};

pub(super) async fn what_is_accepted_outlives_the_node(backend: Backend) {
    const EVENTS: usize = 30;
    let node = serving(&backend, side_effects::setup("async"), "side_effects").await;
    for n in 0..EVENTS {
        accept(&node, n).await;
    }
    let node = serving(&backend, node.killed(), "side_effects").await;
    check(&node, EVENTS, &format!("{:?}", backend.kind)).await;
}

pub(super) async fn events_not_stored_are_refused(backend: Backend) {
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

pub(super) async fn stored_but_unanswered_events_run_once(backend: Backend) {
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

pub(crate) async fn duplicates_run_once_other_bodies_run(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}{STORE}[dedup]\nid = {{ header = \"Id\" }}\n");
    let node = serving(
        &backend,
        Setup::new().hook("store", &bundled("store"), &file),
        "store",
    )
    .await;
    for _ in 0..3 {
        assert_eq!(
            node.deliver("/store", &[("id", "7")], "{\"n\":7}").await.0,
            202
        );
    }
    node.until_states("store", &["done"]).await;
    assert_eq!(
        node.deliver("/store", &[("id", "7")], "{\"n\":8}").await.0,
        202
    );
    node.until_states("store", &["done", "done"]).await;
    assert_eq!(node.rows("store", "t").await.len(), 2);
    assert_eq!(
        node.deliver("/store", &[("id", "7")], "{\"n\":8}").await.0,
        202
    );
    let counted = eventually("every duplicate is counted", || async {
        let metrics = node.metrics().await;
        let of = |name: &str| {
            metrics
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        // The last duplicate is known when it arrives; the others may be recognised when their messages start.
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
        node.ask("/api/v1/events?hook=traps").await["events"]
            .as_array()
            .map_or(0, Vec::len)
    };
    for times in 1..=3 {
        assert_eq!(node.deliver("/traps", &[("id", "7")], "{}").await.0, 202);
        eventually("the redelivery runs", || async {
            (ran().await == times).then_some(())
        })
        .await;
        node.until_states("traps", &vec!["dead"; times]).await;
    }
}

pub(super) async fn what_is_too_large_is_refused(backend: Backend) {
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

pub(super) async fn auto_returns_the_reply_if_possible(backend: Backend) {
    let file = format!("mode = \"auto\"\n{OPEN}");
    let node = serving(
        &backend,
        Setup::new().hook("quick", &guest("answers_one"), &file),
        "quick",
    )
    .await;
    let (status, body) = node.deliver("/quick", &[], "{}").await;
    let expected = match backend.kind {
        Kind::PubSub | Kind::PubSubPush | Kind::CloudTasks => 202,
        _ => 200,
    };
    assert_eq!(status, expected, "{body}");
    node.until_states("quick", &["done"]).await;
}

pub(super) async fn forged_messages_do_not_run(backend: Backend) {
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
    assert_eq!(node.deliver("/store", &[], "{\"n\":4}").await.0, 202);
    node.until_states("store", &["done"]).await;
    let rows = node.rows("store", "t").await;
    assert_eq!(
        rows.iter().map(|row| &row["row"]["n"]).collect::<Vec<_>>(),
        [4],
        "{rows:?}"
    );
    refused(&node, 2).await;
    let explained = node.ask("/api/v1/refusals").await.to_string();
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
    node.until_log(&format!("until {until} a message without a MAC runs too"))
        .await;
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
