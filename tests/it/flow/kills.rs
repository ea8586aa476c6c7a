//! A process that is killed anywhere while events wait or run together, and a sender that comes again
//! like a provider: nothing that was acknowledged is lost, and what handlers leave is there once.
//! `LANDFALL_LONG=1` runs 25 rounds of each.

use std::time::Duration;

use landfall_tests::faults::rounds;
use landfall_tests::{Node, Setup};
use serde_json::{Value, json};

use super::{seen, setup, until_ended};

/// Where the process is ended.
const KILL_POINTS: [&str; 10] = [
    "ledger-in-batch",
    "ledger-before-commit",
    "ledger-after-commit",
    "before-answer",
    "group-closed",
    "claimed",
    "before-run",
    "after-run",
    "before-end",
    "after-end",
];
const EVENTS: u64 = 24;

/// A node that serves, with a kill point. On a slow machine the start alone can reach the kill point:
/// then a new node is started.
async fn serving_with_kill_point(tables: &str, point: &str) -> Node {
    for _ in 0..5 {
        let setup = setup(tables).env("FAILPOINTS", &format!("{point}=10%return"));
        if let Ok(node) = tokio::spawn(setup.serving("in")).await {
            return node;
        }
    }
    panic!("no node serves with {point}");
}

async fn without_kill_points(setup: Setup) -> Node {
    setup.env("FAILPOINTS", "").serving("in").await
}

/// Posts until it is acknowledged, as a provider does; a node that has ended is started again, without
/// kill points.
async fn deliver(mut node: Node, n: u64, kills: &mut usize) -> Node {
    let body = json!({ "n": n, "key": format!("k{}", n % 3) }).to_string();
    loop {
        let answer = node
            .try_post("/in", &[("id", &n.to_string())], body.clone())
            .await;
        if answer.is_some_and(|(status, _)| (200..300).contains(&status)) {
            return node;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if node.has_ended() {
            *kills += 1;
            node = without_kill_points(node.killed()).await;
        }
    }
}

/// Delivers all events around a kill point, and waits until nothing is open.
async fn run(tables: &str, point: &str) -> (Node, Vec<Value>, usize) {
    let mut node = serving_with_kill_point(tables, point).await;
    let mut kills = 0;
    for n in 0..EVENTS {
        node = deliver(node, n, &mut kills).await;
    }
    // Killed once more while some wait, and looked at without kill points.
    tokio::time::sleep(Duration::from_millis(50)).await;
    kills += usize::from(node.has_ended());
    let node = without_kill_points(node.killed()).await;
    let all = until_ended(&node).await;
    (node, all, kills)
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_batched_event() {
    let mut kills = 0;
    for point in KILL_POINTS {
        for _ in 0..rounds(1, 25) {
            let (node, all, count) = run("[batch]\ncount = 5\ntime = \"300ms\"\n", point).await;
            kills += count;
            let expected: Vec<u64> = (0..EVENTS).collect();
            assert_eq!(seen(&node).await, expected, "{point}\n{}", node.log());
            assert!(
                all.iter().all(|one| one["state"] == "done"),
                "{point}: {all:?}"
            );
        }
    }
    assert!(
        kills >= KILL_POINTS.len() / 3,
        "{kills} kills prove nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_debounced_event() {
    let tables = "[debounce]\nkey = { json = \"/key\" }\nwait = \"100ms\"\nmaximum = \"400ms\"\n";
    let mut kills = 0;
    for point in KILL_POINTS {
        for _ in 0..rounds(1, 25) {
            let (node, all, count) = run(tables, point).await;
            kills += count;
            let numbers = seen(&node).await;
            // The last event of each key has run, and every other one has run or names one that has.
            for n in EVENTS - 3..EVENTS {
                assert!(
                    numbers.contains(&n),
                    "{point}: {n} of {numbers:?}\n{}",
                    node.log()
                );
            }
            assert_eq!(all.len() as u64, EVENTS, "{point}: {all:?}");
            let done = |event: &Value| {
                all.iter()
                    .any(|one| one["event"] == *event && one["state"] == "done")
            };
            let ended_well = |one: &Value| match one["state"].as_str() {
                Some("done") => true,
                Some("superseded") => done(&one["superseded_by"]),
                _ => false,
            };
            assert!(all.iter().all(ended_well), "{point}: {all:?}");
            let ran = all.iter().filter(|one| one["state"] == "done").count();
            assert_eq!(numbers.len(), ran, "{point}: what ran has left one row");
        }
    }
    assert!(
        kills >= KILL_POINTS.len() / 3,
        "{kills} kills prove nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_event_of_both() {
    let tables = "[debounce]\nkey = { json = \"/n\" }\nwait = \"50ms\"\n[batch]\ncount = 4\ntime = \"200ms\"\n";
    for point in [
        "ledger-after-commit",
        "group-closed",
        "claimed",
        "after-run",
        "before-end",
    ] {
        let (node, all, _) = run(tables, point).await;
        let expected: Vec<u64> = (0..EVENTS).collect();
        assert_eq!(seen(&node).await, expected, "{point}\n{}", node.log());
        assert!(
            all.iter().all(|one| one["state"] == "done"),
            "{point}: {all:?}"
        );
    }
}
