//! What the endpoints that read answer: hooks with their component, attempts, values, statistics, and refused requests.

use landfall_tests::{Setup, bundled, event_id, guest};
use serde_json::json;

use super::{OPEN, node};

#[tokio::test]
async fn hooks_show_component_and_queue() {
    let node = node().await;
    let detail = node.ask("/api/v1/hooks/q").await;
    assert_eq!(detail["status"]["state"], "serving");
    assert!(detail["status"]["since"].is_string(), "{detail}");
    assert_eq!(detail["receipt"]["digest"], detail["status"]["digest"]);
    assert!(!detail["receipt"]["exports"].as_array().unwrap().is_empty());
    assert!(detail["status"]["queue"]["last_seen"].is_null());
    assert!(detail["last_error"].is_null());

    node.order("/api/v1/hooks/q/pause", json!({})).await;
    node.post("/q", &[], "{}").await;
    let hooks = node.ask("/api/v1/hooks?queue=true").await;
    let queue = &hooks[0]["queue"];
    assert_eq!((&queue["pending"], &queue["dead"]), (&json!(1), &json!(0)));
    assert!(queue["last_seen"].is_string(), "{queue}");
    assert!(node.hooks().await[0].get("queue").is_none());
}

#[tokio::test]
async fn failures_are_shown_and_counted() {
    let hook = format!("mode = \"async\"\n{OPEN}[retry]\nattempts = 1\n");
    let node = Setup::new()
        .hook("bad", &guest("traps"), &hook)
        .serving("bad")
        .await;
    let event = event_id(&node.post("/bad", &[], "{}").await);
    node.until_states("bad", &["dead"]).await;

    let attempts = node.ask(&format!("/api/v1/events/{event}/attempts")).await;
    assert_eq!(attempts[0]["outcome"], "trap", "{attempts}");
    assert!(attempts[0]["record"]["component"].is_string(), "{attempts}");
    let detail = node.ask("/api/v1/hooks/bad").await;
    assert_eq!(detail["last_error"]["event"], event.as_str());
    assert_eq!(detail["status"]["queue"]["dead"], 1);

    let activity = node
        .ask("/api/v1/stats/activity?since=10m&buckets=10")
        .await;
    assert_eq!(activity["bucket_seconds"], 60.0, "{activity}");
    let hook = &activity["hooks"][0];
    for (series, sum) in [("requests", 1), ("attempts", 1), ("failures", 1)] {
        let numbers = hook[series].as_array().unwrap();
        assert_eq!(numbers.len(), 10, "{hook}");
        let total: i64 = numbers.iter().map(|number| number.as_i64().unwrap()).sum();
        assert_eq!(total, sum, "{series}: {hook}");
    }
    let other = node.ask("/api/v1/stats/activity?hook=absent").await;
    assert_eq!(other["hooks"], json!([]));
}

#[tokio::test]
async fn refused_requests_are_shown_masked() {
    let hook = "mode = \"async\"\n[verify]\nprovider = \"github\"\nsecret = \"env:HOOK_SECRET\"\n";
    let node = Setup::new()
        .hook("github", &bundled("echo"), hook)
        .env("HOOK_SECRET", "canary-hook-secret")
        .serving("github")
        .await;
    let signature = format!("sha256={}", "0".repeat(64));
    let headers = [
        ("x-github-event", "push"),
        ("x-hub-signature-256", signature.as_str()),
        ("authorization", "Bearer canary-token"),
    ];
    let body = format!(
        "{{\"ref\":\"canary-hook-secret\",\"long\":\"{}\"}}",
        "x".repeat(4_000)
    );
    let path = "/github?code=canary-query";
    assert_eq!(node.post(path, &headers, body.clone()).await.0, 401);
    assert_eq!(
        node.post("/absent?code=canary-query", &headers, "{}")
            .await
            .0,
        404
    );

    let refusals = node.ask("/api/v1/refusals?hook=github").await;
    let request = &refusals[0]["request"];
    assert_eq!(request["method"], "POST", "{refusals}");
    assert_eq!(request["path"], "/github");
    assert_eq!(request["query"], "code=(masked)");
    assert_eq!(request["body_bytes"], body.len());
    let shown = request["body"].as_str().unwrap();
    assert!(
        shown.len() <= 1024 && shown.starts_with("{\"ref\":\"(masked)\""),
        "{shown}"
    );
    let headers = request["headers"].as_array().unwrap();
    assert!(
        headers.contains(&json!(["x-github-event", "push"])),
        "{request}"
    );
    assert!(
        headers.contains(&json!(["authorization", "(masked)"])),
        "{request}"
    );

    assert!(
        headers.contains(&json!(["x-hub-signature-256", "(masked)"])),
        "{request}"
    );

    let unknown = node.ask("/api/v1/refusals?hook=-").await;
    assert_eq!(unknown[0]["request"]["path"], "/absent");
    assert!(unknown[0]["request"]["body"].is_null());
    let all = node.ask("/api/v1/refusals").await.to_string();
    assert!(!all.contains("canary"), "{all}");
}

#[tokio::test]
async fn values_are_listed_by_prefix() {
    let node = Setup::new()
        .hook(
            "keeps",
            &guest("keeps"),
            &format!("mode = \"async\"\n{OPEN}[allow]\nkv = true\n"),
        )
        .serving("keeps")
        .await;
    assert_eq!(node.ask("/api/v1/kv/keeps").await["values"], json!([]));
    let absent = node.admin_get("/api/v1/kv/absent").send().await.unwrap();
    assert_eq!(absent.status(), 404);

    node.post("/keeps?a1=one&a2=two&b=three&a3=four", &[], "")
        .await;
    node.until_states("keeps", &["done"]).await;
    let page = node.ask("/api/v1/kv/keeps?prefix=a&limit=2").await;
    assert_eq!(page["next"], "a2", "{page}");
    let values = page["values"].as_array().unwrap();
    let found: Vec<(&str, &str)> = values
        .iter()
        .map(|one| (one["key"].as_str().unwrap(), one["text"].as_str().unwrap()))
        .collect();
    assert_eq!(found, [("a1", "one"), ("a2", "two")]);
    let rest = node.ask("/api/v1/kv/keeps?prefix=a&limit=2&after=a2").await;
    assert_eq!(rest["values"][0]["key"], "a3", "{rest}");
    assert!(rest["next"].is_null(), "{rest}");

    let mut command = node.command();
    let output = command.args(["kv", "keeps", "--prefix", "a"]).output();
    let output = output.expect("the binary starts");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "a1  one\na2  two\na3  four\n");
}
