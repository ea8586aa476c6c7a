//! Nodes that share a ledger follow the same decisions.

use landfall_tests::{Node, Postgres, eventually};

use super::{canary, order, until_phase, until_promoted, until_reply, with_candidate};
use crate::watch::scene::MovedClock;

/// All events of a node have this reply from now on.
async fn until_all(node: &Node, wanted: &str) {
    eventually(&format!("all replies are {wanted}"), || async {
        for _ in 0..20 {
            if node.post("/orders", &[], "{}").await.1 != wanted {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_follow_one_decision() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let file = canary("share = 50\nafter = \"1h\"\n");
    let fresh = with_candidate(&file, "answers_two").env("LANDFALL_LEDGER_URL", &server.database());
    let (first, second) = (fresh.copy(), fresh.copy());
    let Some((mut clock, first)) = MovedClock::of(first) else {
        return;
    };
    let (one, two) = tokio::join!(first.serving("orders"), second.serving("orders"));
    for node in [&one, &two] {
        until_phase(node, "canary").await;
        until_reply(node, "two").await;
    }

    // The second node alone has enough runs: the first one decides by the sum.
    eventually("the first node knows the runs of both", || async {
        for _ in 0..20 {
            two.post("/orders", &[], "{}").await;
        }
        let report = super::report(&one).await;
        let runs = |version: &str| report[version]["runs"].as_u64().unwrap_or(0);
        (runs("candidate_runs") >= 20 && runs("serving_runs") >= 20).then_some(())
    })
    .await;
    // The time of day promotes nothing, also not after a start.
    let first = one.killed();
    clock.advance(61).await;
    let one = first.serving("orders").await;
    until_phase(&one, "canary").await;
    let soon = canary("share = 50\nafter = \"1s\"\n");
    one.put("orders.toml", &soon);
    two.put("orders.toml", &soon);
    until_promoted(&one, &two).await;
    for node in [&one, &two] {
        until_phase(node, "promoted").await;
        until_all(node, "two").await;
    }

    // A new node without the candidate's file serves it, too.
    let third = fresh.copy();
    std::fs::remove_file(third.plugins().join("new.wasm")).unwrap();
    let three = third.serving("orders").await;
    until_all(&three, "two").await;

    order(&two, "rollback").await;
    for node in [&one, &two, &three] {
        until_all(node, "one").await;
    }
    until_phase(&one, "rolled-back").await;
}

/// A trial goes on while one node has the candidate, and ends when none has it.
#[tokio::test(flavor = "multi_thread")]
async fn removed_means_on_all_nodes() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let file = canary("share = 50\n");
    let fresh = with_candidate(&file, "answers_two").env("LANDFALL_LEDGER_URL", &server.database());
    let (first, second) = (fresh.copy(), fresh.copy());
    let (one, two) = tokio::join!(first.serving("orders"), second.serving("orders"));
    for node in [&one, &two] {
        until_phase(node, "canary").await;
    }
    let digest = super::report(&two).await["digest"].clone();

    one.put("orders.toml", super::OPEN);
    until_phase(&one, "none").await;
    until_all(&one, "one").await;
    assert_eq!(super::report(&two).await["phase"], "canary");
    until_reply(&two, "two").await;

    two.put("orders.toml", super::OPEN);
    until_phase(&two, "none").await;
    let ended = |line: &serde_json::Value| {
        line["digest"] == digest
            && line["message"] == "no node has the candidate any more: its trial has ended"
    };
    eventually("a node has ended the trial", || async {
        let logs = [one.log(), two.log()].concat();
        let lines = logs
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.into_iter().any(|line| ended(&line)).then_some(())
    })
    .await;

    // A later trial is a new one.
    let before = super::report(&one).await["decisions"].clone();
    one.put("orders.toml", &file);
    eventually("a new trial has begun", || async {
        let report = super::report(&one).await;
        let is_new = report["decisions"] != before;
        (is_new && report["decisions"][0]["decision"] == "started").then_some(())
    })
    .await;
}
