//! Every operation of the OpenAPI document exists and answers, also to requests that a tool has generated from the document.

use std::path::PathBuf;
use std::process::Command;

use landfall_tests::{event_id, require};
use serde_json::{Value, json};

use super::{node, operations};

#[tokio::test]
async fn every_described_operation_answers() {
    let node = node().await;
    let event = event_id(&node.post("/q", &[], "{}").await);
    node.until_states("q", &["done"]).await;
    let token = node.admin_token();

    for operation in operations(&node).await {
        let (status, body) = operation.send(&node, &token, &event).await;
        let expected = match operation.path.as_str() {
            // The hook has no such table; a hook that never existed cannot be purged.
            "/api/v1/rows/{hook}/{table}" | "/api/v1/purge" => 404,
            // The hook file has no [reconcile].
            "/api/v1/hooks/{hook}/reconcile" if operation.method == "GET" => 404,
            "/api/v1/hooks/{hook}/reconcile" => 422,
            // The hook file has no [candidate].
            "/api/v1/hooks/{hook}/promote" | "/api/v1/hooks/{hook}/rollback" => 422,
            // Nothing is learned on this node; the format is missing.
            "/api/v1/hooks/{hook}/shape"
            | "/api/v1/hooks/{hook}/accept-shape"
            | "/api/v1/hooks/{hook}/forget-shape" => 404,
            // An empty report; an event is no report.
            "/api/v1/hooks/{hook}/types" | "/api/v1/hooks/{hook}/publish-try" => 400,
            "/api/v1/hooks/{hook}/tries/{id}" => 404,
            _ => 200,
        };
        assert_eq!(status, expected, "{operation:?}: {body}");
        if status != 200 {
            assert!(body["error"].is_string(), "{operation:?}: {body}");
            assert!(body.get("hint").is_some(), "{operation:?}: {body}");
        }
    }
}

#[tokio::test]
async fn other_paths_have_the_error_shape() {
    let node = node().await;
    for (path, status) in [
        ("/api/hooks", 404),
        ("/api/v1/absent", 404),
        ("/api/v1/hooks/absent", 404),
        ("/api/v1/replay", 405),
        ("/api/v1/events?state=odd", 400),
        ("/api/v1/events?absent=1", 400),
        ("/api/v1/events?limit=x", 400),
        ("/api/v1/hooks/%00", 400),
        ("/api/v1/events/%ff", 400),
        ("/api/v1/stats/activity?buckets=0", 400),
        ("/api/v1/stats/activity?since=400d", 400),
    ] {
        let response = node.admin_get(path).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let body: Value = response.json().await.expect("JSON");
        assert!(body["error"].is_string(), "{path}: {body}");
        assert!(body.get("hint").is_some(), "{path}: {body}");
    }
}

/// The document with names that exist, beside one that does not, for the segments of paths.
fn with_known_names(mut document: Value, event: &str) -> Value {
    let items = document["paths"].as_object_mut().expect("paths");
    for item in items.values_mut() {
        for operation in item.as_object_mut().expect("operations").values_mut() {
            let parameters = operation.get_mut("parameters");
            let parameters = parameters.and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                let known = match (parameter["in"].as_str(), parameter["name"].as_str()) {
                    (Some("path"), Some("hook")) => json!(["q", "absent"]),
                    (Some("path"), Some("table")) => json!(["t"]),
                    (Some("path"), Some("id")) => json!([event, &event[..8], "absent"]),
                    _ => continue,
                };
                parameter["schema"]["enum"] = known;
            }
        }
    }
    document
}

/// Requests that `schemathesis` makes from the document: right and wrong ones.
#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_cause_no_failure() {
    let program = std::env::var_os("LANDFALL_SDK")
        .map(|sdk| PathBuf::from(sdk).join("venv/bin/schemathesis"))
        .filter(|program| program.exists());
    let Some(program) = program else {
        require::missing("schemathesis is not installed (LANDFALL_SDK)");
        return;
    };

    let node = node().await;
    let event = event_id(&node.post("/q", &[], "{}").await);
    node.until_states("q", &["done"]).await;
    let text = with_known_names(node.ask("/api/v1/openapi.json").await, &event).to_string();
    let document = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(document.path(), text).unwrap();

    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(document.path())
        .args(["--url", &format!("http://{}", node.admin)])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", node.admin_token()),
        ])
        // The stream does not end.
        .args(["--exclude-path", "/api/v1/tail"])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args([
            "--max-examples",
            "25",
            "--seed",
            "1",
            "--request-timeout",
            "20",
        ])
        .env("NO_COLOR", "1")
        .current_dir(document.path().parent().unwrap());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .expect("schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        node.log()
    );
    assert_eq!(node.hook("q").await.unwrap()["state"], "serving");
}
