//! One busy hook: the other hooks are served, and only its own requests wait or are refused.

use std::sync::Arc;

use landfall_tests::{Node, Setup, eventually, guest};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
/// More than the node has slots and threads.
const CROWD: usize = 100;

/// Sends this many requests that are not answered while the test runs.
async fn crowd(node: &Arc<Node>, path: &'static str, count: usize) {
    for _ in 0..count {
        let node = node.clone();
        tokio::spawn(async move { node.try_post(path, &[], "{}".to_owned()).await });
    }
    eventually("the crowd runs", || async {
        let queue = node.ask("/api/v1/queue").await;
        (queue["running"] == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn computing_hooks_leave_slots() {
    let computes = format!("mode = \"sync\"\nconcurrency = 1000\ndeadline = \"60m\"\n{OPEN}");
    let stored = format!("mode = \"auto\"\n{OPEN}");
    let sync = format!("mode = \"sync\"\n{OPEN}");
    let setup = Setup::new()
        .hook("computes", &guest("loops"), &computes)
        .hook("stored", &guest("answers_one"), &stored)
        .hook("sync", &guest("answers_one"), &sync)
        .env("LANDFALL_LIMITS_QUEUE_TIMEOUT", "60m");
    let node = Arc::new(setup.serving("sync").await);
    node.until("computes", "serving").await;
    node.until("stored", "serving").await;
    crowd(&node, "/computes", CROWD).await;

    for _ in 0..10 {
        for path in ["/sync", "/stored"] {
            let answer = node.post(path, &[], "{}").await;
            assert!((200..300).contains(&answer.0), "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_busy_hook_refuses() {
    let waits = format!("mode = \"sync\"\nconcurrency = 1\n{OPEN}[settings]\nms = 3000000\n");
    let waits = format!("deadline = \"60m\"\n{waits}");
    let sync = format!("mode = \"sync\"\nconcurrency = 1\n{OPEN}");
    let setup = Setup::new()
        .hook("waits", &guest("sleeps"), &waits)
        .hook("sync", &guest("answers_one"), &sync)
        .env("LANDFALL_LIMITS_QUEUE_TIMEOUT", "1ms");
    let node = Arc::new(setup.serving("sync").await);
    node.until("waits", "serving").await;
    crowd(&node, "/waits", 1).await;

    let refused = node.client.post(node.url("/waits")).body("{}").send();
    let refused = refused.await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    eventually("the other hook answers", || async {
        (node.post("/sync", &[], "{}").await.0 == 200).then_some(())
    })
    .await;

    let metrics = node.metrics().await;
    assert!(
        metrics.contains("landfall_refused_total{hook=\"waits\",reason=\"busy\"} "),
        "{metrics}"
    );
    for series in ["{hook=\"waits\"} 0", "{hook=\"-\"} "] {
        let line = format!("landfall_hook_tasks_waiting{series}");
        assert!(metrics.contains(&line), "{metrics}");
    }
}
