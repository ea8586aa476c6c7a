//! Candidates of a running node: canaries that are promoted or rolled back, shadows without effects,
//! over restarts and on several nodes. The rules have their tests in host/candidate.

mod canary;
mod cluster;
mod example;
mod gone;
mod refused;
mod shadow;

use landfall_tests::{Node, Setup, component, eventually, guest};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const HOOK: &str = "orders";

/// A hook `orders` that answers "one", and a candidate.
fn with_candidate(file: &str, candidate: &str) -> Setup {
    Setup::new()
        .hook(HOOK, &guest("answers_one"), file)
        .file("new.wasm", component(candidate))
}

/// A hook file with a canary. No machine is slow enough for its p99.
fn canary(more: &str) -> String {
    format!("{OPEN}[candidate]\ncomponent = \"new.wasm\"\nmin_runs = 20\nmax_p99 = 1000\n{more}")
}

async fn report(node: &Node) -> Value {
    node.ask("/api/v1/hooks/orders/candidate").await
}

/// Waits until the candidate stands so.
async fn until_phase(node: &Node, phase: &str) -> Value {
    eventually(
        &format!("the candidate is {phase}\n{}", node.log()),
        || async {
            let report = report(node).await;
            (report["phase"] == phase).then_some(report)
        },
    )
    .await
}

/// Posts until a reply is this one.
async fn until_reply(node: &Node, wanted: &str) {
    eventually(&format!("a reply is {wanted}"), || async {
        let (_, reply) = node.post("/orders", &[], "{}").await;
        (reply == wanted).then_some(())
    })
    .await;
}

/// Posts until both versions have run so often.
async fn until_run(node: &Node, count: u64) {
    eventually("both versions have run", || async {
        for _ in 0..20 {
            node.post("/orders", &[], "{}").await;
        }
        let report = report(node).await;
        let runs = |version: &str| report[version]["runs"].as_u64().unwrap_or(0);
        (runs("candidate_runs") >= count && runs("serving_runs") >= count).then_some(())
    })
    .await;
}

/// Posts to `busy` until the candidate is promoted on `node`.
async fn until_promoted(node: &Node, busy: &Node) -> Value {
    eventually(&format!("it is promoted\n{}", node.log()), || async {
        for _ in 0..20 {
            busy.post("/orders", &[], "{}").await;
        }
        let report = report(node).await;
        (report["phase"] == "promoted").then_some(report)
    })
    .await
}

/// All of these events have this reply.
async fn all_reply(node: &Node, count: usize, wanted: &str) {
    for _ in 0..count {
        let answer = node.post("/orders", &[], "{}").await;
        assert_eq!(answer, (200, wanted.to_owned()), "{}", node.log());
    }
}

async fn order(node: &Node, word: &str) -> Value {
    node.order(&format!("/api/v1/hooks/orders/{word}"), json!({}))
        .await
}
