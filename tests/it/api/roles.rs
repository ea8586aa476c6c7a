//! What each of the two tokens may do, for every operation.

use landfall_tests::{Setup, event_id, guest};
use serde_json::Value;

use super::{OPEN, READ_TOKEN, node, operations};

#[tokio::test]
async fn every_route_has_its_role() {
    let node = node().await;
    let event = event_id(&node.post("/q", &[], "{}").await);
    node.until_states("q", &["done"]).await;
    let operate = node.admin_token();

    let operations = operations(&node).await;
    let commands: Vec<&str> = operations
        .iter()
        .filter(|operation| operation.role == "operate")
        .map(|operation| operation.path.as_str())
        .collect();
    assert_eq!(
        commands,
        [
            "/api/v1/discard",
            "/api/v1/erase",
            "/api/v1/hooks/{hook}/accept-shape",
            "/api/v1/hooks/{hook}/forget-shape",
            "/api/v1/hooks/{hook}/pause",
            "/api/v1/hooks/{hook}/promote",
            "/api/v1/hooks/{hook}/publish-try",
            "/api/v1/hooks/{hook}/reconcile",
            "/api/v1/hooks/{hook}/resume",
            "/api/v1/hooks/{hook}/rollback",
            "/api/v1/hooks/{hook}/send",
            "/api/v1/purge",
            "/api/v1/reload",
            "/api/v1/replay",
            "/api/v1/retry-now",
        ]
    );

    for operation in operations {
        let (status, _) = operation.send(&node, "", &event).await;
        assert_eq!(status, 401, "{operation:?} without a token");

        let (status, body) = operation.send(&node, READ_TOKEN, &event).await;
        let is_command = operation.role == "operate";
        assert_eq!(status == 403, is_command, "{operation:?}: {body}");
        // Its text is too long for a query, and it changes nothing.
        let is_post = is_command || operation.path == "/api/v1/check";
        assert_eq!(operation.method == "POST", is_post, "{operation:?}");

        let (status, body) = operation.send(&node, &operate, &event).await;
        assert!(status != 401 && status != 403, "{operation:?}: {body}");
    }
    assert_eq!(node.hook("q").await.unwrap()["paused"], false);
}

#[tokio::test]
async fn readers_get_metrics_and_are_counted() {
    let node = node().await;
    let get = async |path: &str| {
        let url = format!("http://{}{path}", node.admin);
        let request = node.client.get(url).bearer_auth(READ_TOKEN);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(get("/metrics").await, 200);
    assert_eq!(get("/api/v1/hooks").await, 200);

    let url = format!("http://{}/api/v1/hooks/q/pause", node.admin);
    let refused = node.client.post(url).bearer_auth(READ_TOKEN).send().await;
    let body: Value = refused.unwrap().json().await.unwrap();
    assert!(
        body["hint"].as_str().unwrap().contains("admin.token"),
        "{body}"
    );
    let refusals = node.ask("/api/v1/refusals?hook=_admin").await;
    assert_eq!(refusals[0]["reason"], "admin_role_missing", "{refusals}");
    assert_eq!(node.hook("q").await.unwrap()["paused"], false);
}

#[tokio::test]
async fn missing_read_tokens_allow_nothing() {
    let node = Setup::new()
        .hook("q", &guest("answers_one"), OPEN)
        .env("LANDFALL_ADMIN_READ_TOKEN", "env:NOT_SET_ANYWHERE")
        .serving("q")
        .await;
    let url = format!("http://{}/api/v1/hooks", node.admin);
    for token in ["", "x"] {
        let request = node.client.get(&url).bearer_auth(token);
        assert_eq!(request.send().await.unwrap().status(), 401, "`{token}`");
    }
    let request = node.admin_get("/api/v1/hooks");
    assert_eq!(request.send().await.unwrap().status(), 200);
}
