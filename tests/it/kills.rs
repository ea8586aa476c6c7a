//! A process that is killed anywhere in the life of an event, by a kill point or by SIGKILL, while a sender comes again like a
//! provider: what was acknowledged is done, and what handlers leave is there once. `LANDFALL_LONG=1` runs 25 rounds of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_tests::faults::{Random, rounds};
use landfall_tests::side_effects::{check, serving, setup};
use landfall_tests::{Node, event_id, eventually, is_sqlite};
use serde_json::json;

/// Where the process is ended. The bodies of the last two are so large that the log is written back.
const KILL_POINTS: [&str; 13] = [
    "verified",
    "ledger-in-batch",
    "ledger-before-commit",
    "ledger-before-note",
    "ledger-after-commit",
    "accepted",
    "before-answer",
    "claimed",
    "before-run",
    "after-run",
    "before-end",
    "after-end",
    "ledger-before-checkpoint",
];
const AT_CHECKPOINT: &str = "ledger-after-checkpoint";

/// A node that serves, with a kill point. On a slow machine the start alone can reach the kill point: then a new node is started.
async fn serving_with_kill_point(mode: &str, failpoints: &str) -> Node {
    for _ in 0..5 {
        let setup = setup(mode).env("FAILPOINTS", failpoints);
        if let Ok(node) = tokio::spawn(serving(setup)).await {
            return node;
        }
    }
    panic!("no node serves with FAILPOINTS={failpoints}");
}

/// Posts until it is acknowledged, as a provider does; a node that has ended is started again, without kill points.
async fn deliver(mut node: Node, n: usize, body_bytes: usize, kills: &mut usize) -> Node {
    let body = json!({ "n": n, "filler": "x".repeat(body_bytes) }).to_string();
    loop {
        let answer = node
            .try_post("/side_effects", &[("id", &n.to_string())], body.clone())
            .await;
        if answer.is_some_and(|(status, _)| (200..300).contains(&status)) {
            return node;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if node.has_ended() {
            *kills += 1;
            node = serving(node.killed().env("FAILPOINTS", "")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_anywhere_lose_and_repeat_nothing() {
    let mut kills = 0;
    for (number, point) in KILL_POINTS.iter().chain([&AT_CHECKPOINT]).enumerate() {
        for round in 0..rounds(1, 25) {
            let mode = ["async", "auto"][(number + round) % 2];
            kills += kill_at(point, mode, round).await;
        }
    }
    assert!(
        kills >= KILL_POINTS.len() / 2,
        "{kills} kills prove nothing"
    );
}

async fn kill_at(point: &str, mode: &str, round: usize) -> usize {
    let is_large = point.ends_with("checkpoint");
    let (events, body_bytes, chance) = if is_large {
        (30, 300_000, "return")
    } else {
        (25, 10, "10%return")
    };
    let mut node = serving_with_kill_point(mode, &format!("{point}={chance}")).await;
    let mut kills = 0;
    for n in 0..events {
        node = deliver(node, n, body_bytes, &mut kills).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Killed once more, and looked at without kill points.
    kills += usize::from(node.has_ended());
    let node = serving(node.killed().env("FAILPOINTS", "")).await;
    check(
        &node,
        events,
        &format!("{point} {mode} {round}: {kills} kills"),
    )
    .await;
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_maintenance_lose_nothing() {
    if !is_sqlite() {
        return;
    }
    // While the tables are made.
    let fresh = setup("async")
        .env("FAILPOINTS", "migrating=return")
        .refused()
        .await;
    let mut node = serving(fresh.env("FAILPOINTS", "before-run=1*return")).await;
    let mut kills = 0;
    for n in 0..10 {
        node = deliver(node, n, 10, &mut kills).await;
    }
    assert_eq!(kills, 1);
    node.order("/api/v1/hooks/side_effects/pause", json!({}))
        .await;
    // In the middle of freeing leases.
    let again = node.killed();
    let setup = again.env("FAILPOINTS", "recovering=return");
    let node = serving(setup.refused().await.env("FAILPOINTS", "")).await;
    node.order("/api/v1/hooks/side_effects/resume", json!({}))
        .await;
    check(&node, 10, "recovering").await;
    // In the middle of letting go of what is old.
    let keep = [
        ("LANDFALL_LEDGER_RETENTION", "1s"),
        ("LANDFALL_LEDGER_BODY_RETENTION", "1s"),
        ("FAILPOINTS", "pruning=return"),
    ];
    // On a slow machine it ends before all of its hooks serve.
    let setup = keep
        .iter()
        .fold(node.killed(), |setup, (key, value)| setup.env(key, value));
    let mut node = setup.start().await;
    node.ended().await;
    let keep = [
        ("LANDFALL_LEDGER_RETENTION", "1h"),
        ("LANDFALL_LEDGER_BODY_RETENTION", "1h"),
        ("FAILPOINTS", "replayed=return"),
    ];
    let mut node = serving(
        keep.iter()
            .fold(node.killed(), |setup, (key, value)| setup.env(key, value)),
    )
    .await;
    assert_eq!(node.rows("side_effects", "t").await.len(), 10);
    // Before the operator hears of it: who asks again gets no second run of what waits.
    node.order("/api/v1/hooks/sink/pause", json!({})).await;
    let order = json!({ "hook": "sink", "state": "done" });
    assert!(
        node.try_order("/api/v1/replay", order.clone())
            .await
            .is_none()
    );
    node.ended().await;
    let node = serving(node.killed().env("FAILPOINTS", "")).await;
    let again = node.order("/api/v1/replay", order).await;
    assert_eq!(again["events"], 0, "their latest deliveries wait: {again}");
    node.order("/api/v1/hooks/sink/resume", json!({})).await;
    node.until_states("sink", &["done"; 20]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_duplicates_run_once() {
    for round in 0..rounds(2, 25) {
        let point = [
            "ledger-after-commit",
            "before-run",
            "after-run",
            "ledger-before-commit",
        ][round % 4];
        let node = serving_with_kill_point("async", &format!("{point}=3*off->1*return")).await;
        let mut node = Arc::new(node);
        let mut answered = std::collections::BTreeSet::new();
        let mut turns = 0;
        // The senders retry until one of them is answered.
        while turns < 2 || answered.is_empty() {
            turns += 1;
            assert!(turns < 10, "{point}: no sender is answered");
            let callers: Vec<_> = (0..64)
                .map(|_| {
                    let node = node.clone();
                    tokio::spawn(async move {
                        node.try_post("/side_effects", &[("id", "1")], "{\"n\":0}".into())
                            .await
                    })
                })
                .collect();
            for caller in callers {
                let answer = caller.await.unwrap();
                answered.extend(
                    answer
                        .filter(|(status, _)| *status == 202)
                        .map(|answer| event_id(&answer)),
                );
            }
            let mut alone = Arc::into_inner(node).expect("the callers are gone");
            if alone.has_ended() {
                alone = serving(alone.killed().env("FAILPOINTS", "")).await;
            }
            node = Arc::new(alone);
        }
        assert_eq!(answered.len(), 1, "{point}: one event: {answered:?}");
        // The kill may still come: looked at without kill points.
        let alone = Arc::into_inner(node).expect("the callers are gone");
        let node = serving(alone.killed().env("FAILPOINTS", "")).await;
        check(&node, 1, point).await;
        let all = node.deliveries("side_effects").await;
        assert_eq!(all.len(), 2, "{point}: the event, and the look: {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_under_load_lose_nothing() {
    const CALLERS: usize = 8;
    let mut node = serving(setup("async")).await;
    let (mut acknowledged, mut random) = (0, Random::new(7));
    let mut next = 0;
    for round in 0..rounds(6, 100) {
        let shared = Arc::new(node);
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let node = shared.clone();
                tokio::spawn(async move {
                    let mut n = next + caller;
                    // A refusal or a closed door ends it: the node is stopping.
                    while let Some((202, _)) = node
                        .try_post(
                            "/side_effects",
                            &[("id", &n.to_string())],
                            json!({ "n": n }).to_string(),
                        )
                        .await
                    {
                        n += CALLERS;
                    }
                    n
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(30 + random.below(150) as u64)).await;
        let stopped = Instant::now();
        shared.terminate();
        let mut last = Vec::new();
        for caller in callers {
            last.push(caller.await.unwrap());
        }
        acknowledged += last
            .iter()
            .enumerate()
            .map(|(caller, n)| (n - next - caller) / CALLERS)
            .sum::<usize>();
        let mut alone = Arc::into_inner(shared).expect("the callers are gone");
        let status = alone.ended().await;
        assert!(
            status.success() && stopped.elapsed() < Duration::from_secs(60),
            "{round}: {status} {:?}",
            stopped.elapsed()
        );
        next = last.into_iter().max().unwrap() + CALLERS;
        next -= next % CALLERS;
        node = serving(alone.killed()).await;
    }
    eventually("all are done", || async {
        let counts = node.ask("/api/v1/stats").await;
        let open = counts
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["state"] != "done")
            .count();
        (open == 0).then_some(())
    })
    .await;
    let mut after = 0;
    let mut numbers = BTreeMap::new();
    loop {
        let page = node
            .ask(&format!("/api/v1/rows/sink/t?limit=1000&after={after}"))
            .await;
        let rows = page.as_array().unwrap();
        rows.iter().for_each(|row| {
            *numbers
                .entry(row["row"]["n"].as_u64().unwrap())
                .or_insert(0) += 1
        });
        match rows.last() {
            Some(row) if rows.len() == 1000 => after = row["id"].as_i64().unwrap(),
            _ => break,
        }
    }
    assert!(
        numbers.values().all(|count| *count == 1),
        "nothing was left twice"
    );
    assert!(
        numbers.len() >= acknowledged && acknowledged > 0,
        "{} of {acknowledged} are there",
        numbers.len()
    );
}
