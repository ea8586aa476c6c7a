//! The log line of an answered request.

use landfall_tests::{Node, Setup, event_id, eventually, guest};
use serde_json::Value;

use super::{CALLER, OPEN, TRACE, traceparent};

/// The lines of requests so far.
fn request_lines(node: &Node) -> Vec<Value> {
    let log = node.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["message"] == "request")
        .collect()
}

/// The line of the only request with this outcome.
async fn line(node: &Node, outcome: &str) -> Value {
    node.logged(&format!("a request is {outcome}"), |line| {
        line["message"] == "request" && line["outcome"] == outcome
    })
    .await
}

async fn node(setup: Setup) -> Node {
    let github = "[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n";
    let stored = format!("mode = \"async\"\n{OPEN}");
    let node = setup
        .hook("one", &guest("answers_one"), OPEN)
        .hook("stored", &guest("answers_one"), &stored)
        .hook("github", &guest("answers_one"), github)
        .env("SECRET", "right")
        .serving("one")
        .await;
    node.until("stored", "serving").await;
    node.until("github", "serving").await;
    node
}

#[tokio::test]
async fn every_answer_has_a_line() {
    let node = node(Setup::new()).await;
    let headers = [("traceparent", &*traceparent())];
    assert_eq!(node.post("/one?q=canary", &headers, "four").await.0, 200);
    let accepted = node.post("/stored", &[], "{}").await;
    assert_eq!(node.post("/github", &[], "{}").await.0, 401);
    assert_eq!(
        node.client
            .get(node.url("/github"))
            .send()
            .await
            .unwrap()
            .status(),
        405
    );

    let replied = line(&node, "replied").await;
    assert_eq!(
        (&replied["hook"], &replied["status"]),
        (&"one".into(), &200.into())
    );
    assert_eq!(
        (&replied["method"], &replied["path"]),
        (&"POST".into(), &"/one".into())
    );
    assert_eq!(
        (&replied["bytes"], &replied["client"]),
        (&4.into(), &"127.0.0.1".into())
    );
    assert_eq!(
        (&replied["level"], &replied["target"]),
        (&"INFO".into(), &"request".into())
    );
    assert!(replied["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    assert_eq!(replied["traceparent"], traceparent());
    // The attempt has the same event.
    let attempt = node
        .logged("the attempt", |line| {
            line["message"] == "attempt" && line["hook"] == "one"
        })
        .await;
    assert_eq!(attempt["event"], replied["event"]);

    let stored = line(&node, "accepted").await;
    assert_eq!(stored["event"], event_id(&accepted));
    assert_eq!(stored["status"], 202);

    let refused = line(&node, "refused").await;
    assert_eq!(
        (&refused["hook"], &refused["status"]),
        (&"github".into(), &401.into())
    );
    assert_eq!(refused["event"], Value::Null);
    eventually("four lines are written", || async {
        (request_lines(&node).len() == 4).then_some(())
    })
    .await;
    assert!(!node.log().contains("canary"));
}

#[tokio::test]
async fn lines_can_be_limited_to_failures() {
    let node = node(Setup::new().env("LANDFALL_LOG_REQUESTS", "failed")).await;
    for _ in 0..3 {
        assert_eq!(node.post("/one", &[], "").await.0, 200);
    }
    assert_eq!(node.post("/github", &[], "{}").await.0, 401);
    line(&node, "refused").await;
    assert_eq!(request_lines(&node).len(), 1, "{}", node.log());
}

#[tokio::test]
async fn successes_can_be_sampled() {
    let node = node(Setup::new().env("LANDFALL_LOG_REQUEST_EVERY", "5")).await;
    for _ in 0..10 {
        assert_eq!(node.post("/one", &[], "").await.0, 200);
    }
    for _ in 0..2 {
        assert_eq!(node.post("/github", &[], "{}").await.0, 401);
    }
    eventually("four lines are written", || async {
        (request_lines(&node).len() == 4).then_some(())
    })
    .await;
}

#[tokio::test]
async fn lines_can_be_switched_off() {
    let node = node(Setup::new().env("LANDFALL_LOG_REQUESTS", "none")).await;
    assert_eq!(node.post("/one", &[], "").await.0, 200);
    assert_eq!(node.post("/github", &[], "{}").await.0, 401);
    // The refusal comes before its request line would.
    node.until_log("request refused").await;
    node.settle().await;
    assert!(request_lines(&node).is_empty(), "{}", node.log());
}

#[tokio::test]
async fn scanners_do_not_fill_the_log() {
    let node = node(Setup::new()).await;
    for number in 0..40 {
        let path = format!("/nowhere-{number}");
        assert_eq!(node.post(&path, &[], "").await.0, 404);
    }
    // This line comes after those of the refused requests.
    assert_eq!(node.post("/one", &[], "").await.0, 200);
    line(&node, "replied").await;
    let refused = request_lines(&node);
    let refused = refused.iter().filter(|line| line["outcome"] == "refused");
    let count = refused.count();
    // Five in ten seconds, and a slow machine may need more than one such window.
    assert!((5..=20).contains(&count), "{count}\n{}", node.log());
}

#[tokio::test]
async fn cloud_logging_shows_requests() {
    let setup = Setup::new()
        .log_format("cloud-logging")
        .env("GOOGLE_CLOUD_PROJECT", "my-project");
    let node = node(setup).await;
    let headers = [("traceparent", &*traceparent())];
    assert_eq!(node.post("/one", &headers, "four").await.0, 200);

    let line = line(&node, "replied").await;
    let request = &line["httpRequest"];
    assert_eq!(request["requestMethod"], "POST");
    assert_eq!(request["requestUrl"], "/one");
    assert_eq!(request["status"], 200);
    assert_eq!(request["requestSize"], "4");
    assert_eq!(request["remoteIp"], "127.0.0.1");
    assert!(
        request["latency"]
            .as_str()
            .is_some_and(|text| text.ends_with('s'))
    );
    assert_eq!(line["severity"], "INFO");
    let trace = format!("projects/my-project/traces/{TRACE}");
    assert_eq!(line["logging.googleapis.com/trace"], trace);
    assert_eq!(line["logging.googleapis.com/spanId"], CALLER);
    assert_eq!(line["status"], Value::Null, "it is not there twice");
}
