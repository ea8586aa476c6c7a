//! Every error of the API has the shape of the API and a sentence of its own: no text of a framework, and no Rust type.

use landfall_tests::Node;
use serde_json::Value;

use super::node;

/// What only frameworks write.
const FOREIGN: [&str; 9] = [
    "usize",
    "i64",
    "serde",
    "deserialize",
    "invalid type",
    "invalid value",
    "Invalid URL",
    "buffer",
    "EOF",
];

/// Sends a body, and requires an error of this status. The error.
async fn refused(node: &Node, path: &str, body: &[u8], status: u16) -> String {
    let request = node
        .client
        .post(format!("http://{}{path}", node.admin))
        .bearer_auth(node.admin_token())
        .header("content-type", "application/json")
        .body(body.to_vec());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), status, "{path}");
    error_of(response).await
}

/// The error, which must have the shape of the API.
async fn error_of(response: reqwest::Response) -> String {
    let path = response.url().path().to_owned();
    let kind = response.headers()["content-type"].clone();
    assert_eq!(kind, "application/json", "{path}");
    let body: Value = response.json().await.expect("JSON");
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["error", "hint"], "{path}: {body}");
    let error = body["error"].as_str().unwrap().to_owned();
    let foreign = FOREIGN.iter().find(|word| error.contains(**word));
    assert_eq!(foreign, None, "{path}: {error}");
    error
}

#[tokio::test]
async fn wrong_bodies_are_explained() {
    let node = node().await;
    for (body, error) in [
        (
            &b"{\"hook\":\"q\",\"limit\":-1}"[..],
            "`limit` must be a whole number that is not negative",
        ),
        (b"{\"events\":[7]}", "`events[0]` must be a text"),
        (
            b"{\"hook\":",
            "the body is not JSON from line 1, column 8 on",
        ),
        (b"", "the body is empty: send a JSON object"),
        (b"7", "the request must be a JSON object"),
    ] {
        assert_eq!(refused(&node, "/api/v1/replay", body, 400).await, error);
    }
    let unknown = refused(&node, "/api/v1/purge", b"{\"hok\":\"q\"}", 400).await;
    assert!(
        unknown.starts_with("this endpoint has no key `hok`: write `hook`"),
        "{unknown}"
    );
    let large = vec![b' '; (2 << 20) + 1];
    for path in ["/api/v1/replay", "/api/v1/reload"] {
        let error = refused(&node, path, &large, 413).await;
        assert_eq!(error, "the body is larger than 2 MiB", "{path}");
    }
}

#[tokio::test]
async fn wrong_addresses_are_explained() {
    let node = node().await;
    for (path, status, start) in [
        (
            "/api/v1/events?limit=x",
            400,
            "`limit` must be a whole number",
        ),
        (
            "/api/v1/events?absent=1",
            400,
            "this endpoint has no parameter `absent`",
        ),
        (
            "/api/v1/hooks?queue=1",
            400,
            "`queue` must be true or false",
        ),
        ("/api/v1/events/%ff", 400, "the path is not text in UTF-8"),
        ("/api/v1/rows/q/%ff", 400, "the path is not text in UTF-8"),
        ("/api", 404, "no endpoint has this path"),
        ("/api/", 404, "no endpoint has this path"),
        ("/api/v2/hooks", 404, "no endpoint has this path"),
        ("/api/v1/reload", 405, "the endpoint does not have this"),
    ] {
        let response = node.admin_get(path).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let error = error_of(response).await;
        assert!(error.starts_with(start), "{path}: {error}");
    }
}
