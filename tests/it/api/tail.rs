//! `GET /api/v1/tail`: new deliveries and their ends as server-sent events.

use std::time::Duration;

use landfall_tests::{Node, event_id};
use serde_json::Value;

use super::node;

/// An open stream of server-sent events.
struct Stream {
    response: reqwest::Response,
    text: String,
}

// === impl Stream ===

impl Stream {
    async fn open(node: &Node, query: &str) -> Stream {
        let request = node.admin_get(&format!("/api/v1/tail{query}"));
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
    async fn next(&mut self) -> (String, Value) {
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

            let piece = tokio::time::timeout(Duration::from_secs(30), self.response.chunk());
            let piece = piece.await.expect("an event within 30 s").unwrap();
            let piece = piece.expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
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
