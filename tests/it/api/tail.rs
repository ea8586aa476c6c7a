//! `GET /api/v1/tail`: new deliveries and their ends as server-sent events.

use std::time::Duration;

use landfall_tests::{Node, event_id, eventually};
use serde_json::Value;

use super::{READ_TOKEN, node, setup};

/// No stream takes so long.
const LIMIT: Duration = Duration::from_secs(300);

/// An open stream of server-sent events.
pub(crate) struct Stream {
    response: reqwest::Response,
    text: String,
}

// === impl Stream ===

impl Stream {
    pub(crate) async fn open(node: &Node, query: &str) -> Stream {
        Stream::open_with(node, &node.admin_token(), query).await
    }

    async fn open_with(node: &Node, token: &str, query: &str) -> Stream {
        let url = format!("http://{}/api/v1/tail{query}", node.admin);
        let request = node.client.get(url).bearer_auth(token);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        let mut stream = Stream {
            response,
            text: String::new(),
        };
        assert_eq!(stream.next().await.0, "open");
        stream
    }

    /// The name and the data of the next event.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let Some(data) = field("data: ") {
                    let name = field("event: ").expect("a name").to_owned();
                    return (name, serde_json::from_str(data).expect("JSON"));
                }
                continue;
            }

            let piece = tokio::time::timeout(LIMIT, self.response.chunk());
            let piece = piece.await.expect("an event").unwrap();
            let piece = piece.expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// Waits until the node ends the stream.
    async fn end(mut self) {
        let ended = async { while self.response.chunk().await.unwrap().is_some() {} };
        let ended = tokio::time::timeout(LIMIT, ended).await;
        ended.expect("the stream ends");
    }
}

#[tokio::test]
async fn new_deliveries_and_ends_are_sent() {
    let node = node().await;
    let mut all = Stream::open(&node, "").await;
    let mut dead = Stream::open(&node, "?state=dead").await;
    let mut of_hook = Stream::open(&node, "?hook=q&state=done").await;
    let event = event_id(&node.post("/q", &[], "{}").await);

    let (name, data) = all.next().await;
    assert_eq!(
        (name.as_str(), &data["change"]),
        ("accepted", &"accepted".into())
    );
    assert_eq!(data["delivery"]["event"], event.as_str());
    let (name, data) = loop {
        let next = all.next().await;
        if next.0 != "accepted" {
            break next;
        }
    };
    assert_eq!(
        (name.as_str(), &data["delivery"]["state"]),
        ("done", &"done".into())
    );

    let (_, data) = of_hook.next().await;
    assert_eq!(data["delivery"]["event"], event.as_str());
    let nothing = tokio::time::timeout(Duration::from_secs(1), dead.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn listeners_are_bounded() {
    let node = node().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Stream::open(&node, "").await);
    }
    let refused = node.admin_get("/api/v1/tail").send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let body: Value = refused.json().await.unwrap();
    assert!(body["hint"].is_string(), "{body}");

    drop(streams);
    // The node notices at the next write that a client has gone.
    landfall_tests::eventually("a place is free again", || async {
        node.post("/q", &[], "{}").await;
        let response = node.admin_get("/api/v1/tail").send().await.ok()?;
        (response.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn streams_end_with_their_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reader");
    std::fs::write(&file, READ_TOKEN).unwrap();
    let reference = format!("file:{}", file.display());
    let setup = setup().env("LANDFALL_ADMIN_READ_TOKEN", &reference);
    let node = setup.serving("q").await;
    let second = "a-second-read-token-of-32-characters";

    let replaced = Stream::open_with(&node, READ_TOKEN, "").await;
    let mut operate = Stream::open(&node, "").await;
    std::fs::write(&file, second).unwrap();
    replaced.end().await;

    eventually("the node knows the second token", || async {
        let url = format!("http://{}/api/v1/hooks", node.admin);
        let request = node.client.get(url).bearer_auth(second);
        (request.send().await.ok()?.status() == 200).then_some(())
    })
    .await;
    let removed = Stream::open_with(&node, second, "").await;
    std::fs::remove_file(&file).unwrap();
    removed.end().await;

    // The other token is as it was.
    let event = event_id(&node.post("/q", &[], "{}").await);
    assert_eq!(operate.next().await.1["delivery"]["event"], *event);
    let path = node.data().join("admin-token");
    std::fs::write(path, "another-admin-token-of-32-characters").unwrap();
    operate.end().await;
}

#[tokio::test]
async fn unknown_hooks_have_no_stream() {
    let node = node().await;
    // More than there are places.
    for _ in 0..20 {
        let response = node.admin_get("/api/v1/tail?hook=nope").send().await;
        let response = response.unwrap();
        assert_eq!(response.status(), 404);
        let body: Value = response.json().await.unwrap();
        let error = body["error"].as_str().unwrap();
        assert!(error.starts_with("there is no hook `nope`"), "{error}");
    }
    Stream::open(&node, "?hook=q").await;
}
