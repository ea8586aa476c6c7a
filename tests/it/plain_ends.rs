//! How attempts of plain `wasi:http` components end: by a trap at once, within their memory, with a reason.

use landfall_tests::{Node, Receiver, Setup, eventually, guest};
use serde_json::Value;

const OPEN: &str = "deadline = \"60s\"\n[verify]\nscheme = \"none\"\n";

async fn plain(more: &str) -> Node {
    Setup::new()
        .hook("plain", &guest("plain"), &format!("{OPEN}{more}"))
        .serving("plain")
        .await
}

/// The record of the first attempt that the log has for this path.
async fn attempt(node: &Node) -> Value {
    node.logged("the attempt", |line| {
        line["hook"] == "plain" && line["message"] == "attempt"
    })
    .await
}

async fn ends_at_once(does: &str, outcome: &str, reason: &str) {
    let node = plain("").await;
    let (status, answer) = node.post(&format!("/plain?does={does}"), &[], "").await;
    assert!(status >= 500, "{does}: {status} {answer}");
    let attempt = attempt(&node).await;
    assert_eq!(attempt["outcome"], outcome, "{attempt}");
    assert!(
        attempt["reason"].as_str().unwrap().contains(reason),
        "{attempt}"
    );
}

#[tokio::test]
async fn a_panic_ends_the_attempt() {
    ends_at_once("panics", "trap", "no luck today").await;
}

#[tokio::test]
async fn an_unfinished_body_ends_the_attempt() {
    ends_at_once(
        "never-finishes",
        "trap",
        "no response today\nthe handler ended before it finished the body",
    )
    .await;
    ends_at_once("drops-its-body", "bad-reply", "did not finish the body").await;
}

#[tokio::test]
async fn an_endless_body_ends_the_attempt() {
    ends_at_once(
        "writes-for-ever",
        "bad-reply",
        "has more than 8388608 bytes",
    )
    .await;
    ends_at_once(
        "goes-on-after-its-body",
        "bad-reply",
        "has more than 8388608 bytes",
    )
    .await;
}

#[tokio::test]
async fn replies_may_set_every_header() {
    let node = plain("").await;
    let response = node
        .client
        .post(node.url("/plain?does=sets-every-header"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200, "{}", node.log());
    assert!(
        response.headers().get("connection").is_none() && response.headers()["date"] != "x",
        "{response:?}"
    );
    assert_eq!(response.text().await.unwrap(), "0123456789");
}

#[tokio::test]
async fn unsendable_statuses_are_bad_replies() {
    let node = plain("").await;
    let (status, body) = node.post("/plain?status=103", &[], "").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("handler failed"), "{body}");
    let attempt = attempt(&node).await;
    assert_eq!(attempt["outcome"], "bad-reply", "{attempt}");
    assert_eq!(attempt["reason"], "status 103 cannot be sent: 200 to 599");
}

#[tokio::test]
async fn a_body_may_precede_its_response() {
    let node = plain("").await;
    let (status, body) = node.post("/plain?writes-first", &[], "").await;
    assert_eq!((status, body.len()), (200, 1_000_000), "{}", node.log());
}

#[tokio::test]
async fn stored_headers_count_as_memory() {
    for stored in ["keeps=900", "requests=900"] {
        let node = plain("[limits]\nmemory = \"8MiB\"\n").await;
        let (status, text) = node.post(&format!("/plain?{stored}"), &[], "").await;
        assert!(status >= 500, "{stored}: {status} {text}");
        let attempt = attempt(&node).await;
        assert_eq!(attempt["outcome"], "out-of-memory", "{stored}: {attempt}");
    }
}

#[tokio::test]
async fn dropped_headers_release_their_memory() {
    let node = plain("[limits]\nmemory = \"8MiB\"\n").await;
    for taken in ["drops=3000", "keeps=50"] {
        let (status, text) = node.post(&format!("/plain?{taken}"), &[], "").await;
        let (_, count) = taken.split_once('=').unwrap();
        assert_eq!((status, text), (200, format!("made {count}")), "{taken}");
    }
    let peak = attempt(&node).await["memory_kib"].as_u64().unwrap();
    assert!(peak < 8 << 10, "{peak} KiB");
}

/// Bytes that the host took for 32 calls, and what came of one that has ended.
async fn uploaded(node: &Node, url: &str) -> (usize, String) {
    let (status, text) = node.post(&format!("/plain?upload={url}"), &[], "").await;
    assert_eq!(status, 200, "{text}\n{}", node.log());
    let (taken, end) = text.split_once(' ').unwrap();
    (taken.parse().unwrap(), end.to_owned())
}

#[tokio::test]
async fn denied_calls_keep_no_bodies() {
    let node = plain("[limits]\nmemory = \"16MiB\"\n").await;
    let (taken, end) = uploaded(&node, "http://127.0.0.1:9/").await;

    assert_eq!(taken, 32 << 20, "the guest could write its 32 bodies");
    assert!(end.contains("HttpRequestDenied"), "{end}");
    let peak = attempt(&node).await["memory_kib"].as_u64().unwrap();
    assert!(peak < 16 << 10, "{peak} KiB");
}

#[tokio::test]
async fn failed_calls_are_recorded() {
    let node = plain("[allow]\nhttp = [\"http://127.0.0.1:9/\"]\n").await;
    for url in [
        "http://127.0.0.1:9/absent?key=k",
        "https://elsewhere.example/x?token=t",
    ] {
        assert_eq!(
            node.post(&format!("/plain?call={url}"), &[], "").await.0,
            200,
            "the guest does not mind"
        );
    }
    let denied = node
        .logged("the denial", |line| line["error"] == "denied")
        .await;
    assert_eq!(denied["message"], "outbound call failed", "{denied}");
    assert_eq!(
        (&denied["method"], &denied["url"]),
        (&"GET".into(), &"https://elsewhere.example/x".into())
    );
    assert!(
        denied["reason"]
            .as_str()
            .unwrap()
            .contains("is not in `[allow] http` of this hook"),
        "{denied}"
    );
    let failed = node
        .logged("the failure", |line| line["error"] == "unreachable")
        .await;
    assert_eq!(failed["url"], "http://127.0.0.1:9/absent");

    let id = denied["event"].as_str().unwrap();
    // The attempt is recorded after the answer.
    let path = format!("/api/v1/events/{id}");
    let event = eventually("the denied call is recorded", || async {
        let event = node.try_ask(&path).await?;
        let calls = event.to_string();
        calls
            .contains("https://elsewhere.example/x")
            .then_some(event)
    })
    .await;
    assert!(
        !event["attempts"].to_string().contains("token=t"),
        "{event}"
    );
}

#[tokio::test]
async fn bodies_count_as_memory() {
    let inside = Receiver::start().await;
    let grants = format!(
        "[allow]\nhttp = [\"{}\"]\n[limits]\nmemory = \"16MiB\"\n",
        inside.url("/")
    );
    let node = plain(&grants).await;
    let (_, end) = uploaded(&node, &inside.url("/")).await;
    assert!(end.contains("HttpRequestBodySize"), "{end}");
    let peak = attempt(&node).await["memory_kib"].as_u64().unwrap();
    assert!(
        peak <= 16 << 10 && peak > 12 << 10,
        "the bodies are in the record: {peak} KiB"
    );
    assert!(inside.got().is_empty(), "no body was whole");
}

#[tokio::test]
async fn wstd_components_run() {
    let inside = Receiver::start().await;
    let grants = format!("{OPEN}[allow]\nhttp = [\"{}\"]\n", inside.url("/"));
    let node = Setup::new()
        .hook("plain", &guest("wstd_plain"), &grants)
        .serving("plain")
        .await;
    assert_eq!(
        node.post("/plain", &[], "hello").await,
        (200, "hello".into()),
        "{}",
        node.log()
    );
    let called = node
        .post(&format!("/plain?call={}", inside.url("/x")), &[], "hello")
        .await;
    assert_eq!(called, (200, "called: 200 OK".into()), "{}", node.log());
    assert_eq!(
        (
            inside.got()[0].body.as_slice(),
            &inside.got()[0].headers["content-length"]
        ),
        (&b"hello"[..], &"5".parse().unwrap())
    );
    assert_eq!(node.post("/plain?panics", &[], "me").await.0, 500);
    let attempt = node
        .logged("the trap", |line| line["outcome"] == "trap")
        .await;
    assert!(
        attempt["reason"]
            .as_str()
            .unwrap()
            .contains("no luck with me"),
        "{attempt}"
    );
}

#[tokio::test]
async fn axum_components_run() {
    let file = format!("path = \"/items\"\n{OPEN}");
    let node = Setup::new()
        .hook("routes", &guest("wstd_routes"), &file)
        .serving("routes")
        .await;
    assert_eq!(
        node.post("/items", &[], "hello").await,
        (200, "items: hello".into()),
        "{}",
        node.log()
    );
}
