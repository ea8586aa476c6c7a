//! Cases about handlers that say that they did not handle the event.

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::{Node, Setup, eventually, guest};
use serde_json::{Value, json};

use super::{OPEN, serving};

const BACKOFF: &str =
    "backoff = { first = \"100ms\", factor = 1.0, max = \"100ms\", jitter = 0.0 }\n";

async fn cases(backend: &Backend, file: &str) -> Node {
    let setup = Setup::new().hook("cases", &guest("contract_cases"), file);
    serving(backend, setup, "cases").await
}

/// The latest delivery, when it has this state.
async fn in_state(node: &Node, state: &str) -> Value {
    eventually(state, || async {
        let latest = node.deliveries("cases").await.last()?.clone();
        (latest["state"] == state).then_some(latest)
    })
    .await
}

pub(super) async fn deferrals_use_no_attempts(backend: Backend) {
    let head = format!("mode = \"async\"\n{OPEN}[retry]\nattempts = 1\n{BACKOFF}[settings]\n");
    let node = cases(&backend, &format!("{head}ready = false\n")).await;
    let body = json!({ "case": "defer" }).to_string();
    assert_eq!(node.deliver("/cases", &[], body.clone()).await.0, 202);

    let deferrals = |one: &Value| one["deferrals"].as_u64().unwrap_or(0);
    eventually("the event is deferred twice", || async {
        let latest = node.deliveries("cases").await.last()?.clone();
        (deferrals(&latest) >= 2).then_some(())
    })
    .await;
    node.put("cases.toml", format!("{head}ready = true\n"));

    let done = in_state(&node, "done").await;
    assert_eq!(
        done["attempt"].as_u64(),
        Some(deferrals(&done) + 1),
        "{done}"
    );
    let id = done["event"].as_str().unwrap();
    let shown = node.ask(&format!("/api/v1/events/{id}")).await;
    let outcomes: Vec<&str> = shown["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|attempt| attempt["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, ["defer", "done"], "one record for all deferrals");
}

pub(super) async fn deferrals_end_with_max_age(backend: Backend) {
    let file =
        format!("mode = \"async\"\n{OPEN}[retry]\nattempts = 1\nmax_age = \"1s\"\n{BACKOFF}");
    let node = cases(&backend, &file).await;
    let body = json!({ "case": "defer", "after_s": 0 }).to_string();
    assert_eq!(node.deliver("/cases", &[], body.clone()).await.0, 202);

    let dead = in_state(&node, "dead").await;
    assert_eq!(
        dead["reason"],
        "defer: deferred for longer than [retry] max_age = 1s: not ready"
    );
    assert!(dead["deferrals"].as_u64().unwrap() >= 1, "{dead}");
}

pub(super) async fn rejections_are_dead_letters(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}[dedup]\nid = {{ header = \"Id\" }}\n");
    let node = cases(&backend, &file).await;
    let body = json!({ "case": "reject-reply" }).to_string();
    for times in 1..=2 {
        let answer = node.deliver("/cases", &[("id", "7")], body.clone()).await;
        assert_eq!(answer.0, 202, "nobody waits for the reply");
        eventually("the rejected event runs again", || async {
            (node.deliveries("cases").await.len() == times).then_some(())
        })
        .await;
        node.until_states("cases", &vec!["dead"; times]).await;
    }
    let latest = in_state(&node, "dead").await;
    assert_eq!(latest["reason"], "reject: rejected on purpose");
}

/// The handler's reply is the caller's refusal, so that the sender's repetition is no duplicate.
pub(super) async fn refused_events_run_again(backend: Backend) {
    let file = format!("mode = \"auto\"\n{OPEN}[dedup]\nid = {{ header = \"Id\" }}\n");
    let setup = Setup::new().hook("replies", &guest("replies"), &file);
    let node = serving(&backend, setup, "replies").await;
    let is_told = !matches!(
        backend.kind,
        Kind::PubSub | Kind::PubSubPush | Kind::CloudTasks
    );
    for (times, status) in [(1, "409"), (2, "200")] {
        let headers = [("id", "7"), ("x-status", status)];
        let answer = node.deliver("/replies", &headers, "{}").await;
        let expected = if is_told { status } else { "202" };
        assert_eq!(answer.0.to_string(), expected, "{}", answer.1);
        node.until_states("replies", &vec!["done"; times]).await;
    }
}
