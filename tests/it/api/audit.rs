//! Every change is in the audit record, with who made it and what came of it.

use landfall_tests::{Node, event_id};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{READ_TOKEN, node, operations};

/// The entries without dry runs, oldest first.
async fn entries(node: &Node) -> Vec<Value> {
    let page = node.ask("/api/v1/audit").await;
    let mut entries = page["entries"].as_array().expect("entries").clone();
    entries.reverse();
    entries
}

fn landfall(node: &Node, arguments: &[&str]) -> String {
    let output = node.command().args(arguments).output();
    let output = output.expect("the binary starts");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn changes_are_recorded_with_results() {
    let node = node().await;
    let event = event_id(&node.post("/q", &[], "{}").await);
    node.until_states("q", &["done"]).await;

    node.order("/api/v1/hooks/q/pause", json!({})).await;
    node.order("/api/v1/hooks/q/resume", json!({})).await;
    node.order("/api/v1/reload", json!({})).await;
    node.order(
        "/api/v1/replay",
        json!({ "hook": "q", "state": "done", "dry_run": true }),
    )
    .await;
    node.order("/api/v1/replay", json!({ "events": [event] }))
        .await;
    node.order(
        "/api/v1/discard",
        json!({ "hook": "absent", "reason": "none" }),
    )
    .await;

    let entries = entries(&node).await;
    let actions: Vec<&str> = entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["pause", "resume", "reload", "replay", "discard"]);
    let digest = hex::encode(Sha256::digest(node.admin_token()));
    for entry in &entries {
        assert_eq!(entry["role"], "operate", "{entry}");
        assert_eq!(entry["token"], digest[..8], "{entry}");
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
        assert!(entry["at"].as_str().unwrap().ends_with('Z'), "{entry}");
        assert!(!entry["result"].is_null(), "{entry}");
    }
    assert_eq!(entries[0]["hook"], "q");
    assert_eq!(entries[0]["result"]["paused"], true);
    assert_eq!(entries[3]["detail"]["events"][0], event.as_str());
    assert_eq!(entries[3]["result"]["events"], 1);
    assert_eq!(entries[4]["result"]["status"], 404);
    assert_eq!(entries[4]["detail"]["reason"], "none");
    let text = json!(entries).to_string();
    assert!(!text.contains(&node.admin_token()), "{text}");
}

#[tokio::test]
async fn records_are_paged_and_outlive_restarts() {
    let node = node().await;
    for _ in 0..3 {
        node.order("/api/v1/hooks/q/pause", json!({})).await;
        node.order("/api/v1/hooks/q/resume", json!({})).await;
    }
    let node = node.killed().serving("q").await;

    let (mut before, mut ids) = (String::new(), Vec::new());
    loop {
        let page = node.ask(&format!("/api/v1/audit?limit=4{before}")).await;
        let entries = page["entries"].as_array().unwrap();
        ids.extend(entries.iter().map(|entry| entry["id"].as_i64().unwrap()));
        match page["next"].as_i64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 6);
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    let paused = node.ask("/api/v1/audit?action=pause&hook=q&since=1h").await;
    assert_eq!(paused["entries"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn audit_command_prints_and_exports() {
    let node = node().await;
    landfall(&node, &["hooks", "pause", "q"]);
    landfall(&node, &["hooks", "reload"]);

    let lines = landfall(&node, &["audit"]);
    let actions = lines.lines().map(|line| line.split_whitespace().nth(1));
    assert_eq!(
        actions.collect::<Vec<_>>(),
        [Some("reload"), Some("pause")],
        "{lines}"
    );
    let exported = landfall(&node, &["audit", "--all", "--json"]);
    let entries: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["hook"], "q");
    assert_eq!(landfall(&node, &["audit", "--action", "purge"]), "");
}

/// A request for a change that is refused.
struct Refused {
    path: &'static str,
    body: String,
    status: u16,
    hook: Value,
}

impl Refused {
    fn new(path: &'static str, body: impl ToString, status: u16, hook: &str) -> Refused {
        Refused {
            path,
            body: body.to_string(),
            status,
            hook: Some(hook).filter(|hook| !hook.is_empty()).into(),
        }
    }

    fn action(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }
}

/// The status of a request with these headers.
async fn asked(node: &Node, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let url = format!("http://{}{path}", node.admin);
    let request = node.client.request(method.parse().unwrap(), url);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.send().await.unwrap().status().as_u16()
}

async fn post(node: &Node, token: &str, path: &str, kind: &str, body: &str) -> u16 {
    let request = node
        .client
        .post(format!("http://{}{path}", node.admin))
        .bearer_auth(token)
        .header("content-type", kind)
        .body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn refused_changes_have_one_entry() {
    let node = node().await;
    let many: Vec<String> = (0..600).map(|number| format!("{number}")).collect();
    let large = " ".repeat((2 << 20) + 1);
    let refused = [
        Refused::new("/api/v1/hooks/nope/pause", "", 404, "nope"),
        Refused::new("/api/v1/hooks/nope/resume", "{}", 404, "nope"),
        Refused::new("/api/v1/hooks/%ff/pause", "", 400, ""),
        Refused::new("/api/v1/hooks/q/reconcile", "{}", 422, "q"),
        Refused::new("/api/v1/replay", json!({ "hook": "nope" }), 404, "nope"),
        Refused::new(
            "/api/v1/replay",
            json!({ "hook": "q", "per_second": 0 }),
            400,
            "q",
        ),
        Refused::new(
            "/api/v1/replay",
            json!({ "hook": "q", "limit": -1 }),
            400,
            "q",
        ),
        Refused::new("/api/v1/replay", json!({ "hook": "\0" }), 400, ""),
        Refused::new("/api/v1/retry-now", json!({ "events": many }), 400, ""),
        Refused::new("/api/v1/discard", "{\"hook\":", 400, ""),
        Refused::new("/api/v1/discard", "", 400, ""),
        Refused::new("/api/v1/purge", json!({ "hook": "q" }), 409, "q"),
        Refused::new("/api/v1/purge", large, 413, ""),
    ];
    for one in &refused {
        let token = node.admin_token();
        let status = post(&node, &token, one.path, "application/json", &one.body).await;
        assert_eq!(status, one.status, "{}", one.path);
    }

    let entries = entries(&node).await;
    assert_eq!(entries.len(), refused.len(), "{entries:?}");
    for (entry, one) in entries.iter().zip(&refused) {
        assert_eq!(entry["action"], one.action(), "{entry}");
        assert_eq!(entry["hook"], one.hook, "{entry}");
        assert_eq!(entry["result"]["status"], one.status, "{entry}");
        let why = entry["result"]["error"].as_str().unwrap();
        assert!(!why.is_empty(), "{entry}");
    }
    assert_eq!(entries[8]["detail"]["events"].as_array().unwrap().len(), 20);
    assert_eq!(entries[8]["detail"]["more_events"], 580);
    assert_eq!(entries[9]["detail"]["bytes"], 8);
}

/// Also of a command that is added later.
#[tokio::test]
async fn each_command_has_an_entry() {
    let node = node().await;
    let operations = operations(&node).await;
    let commands: Vec<_> = operations
        .iter()
        .filter(|operation| operation.role == "operate")
        .collect();
    let token = node.admin_token();
    for (number, command) in commands.iter().enumerate() {
        let path = command.path_for("absent");
        // No JSON: a command without an order is carried out.
        let status = post(&node, &token, &path, "application/json", "{").await;
        assert!([200, 400, 422].contains(&status), "{path}: {status}");
        let status = post(&node, &token, &path, "text/plain", "{}").await;
        assert_eq!(status, 415, "{path}");
        let status = post(&node, READ_TOKEN, &path, "application/json", "{}").await;
        assert_eq!(status, 403, "{path}");
        // Not authenticated.
        let status = post(&node, "wrong", &path, "application/json", "{}").await;
        assert_eq!(status, 401, "{path}");

        let entries = entries(&node).await;
        assert_eq!(entries.len(), 3 * (number + 1), "{path}: {entries:?}");
        let [_, form, reader] = &entries[3 * number..] else {
            panic!("three entries: {entries:?}");
        };
        assert_eq!(form["result"]["status"], 415, "{path}: {form}");
        assert_eq!(reader["result"]["status"], 403, "{path}: {reader}");
        assert_eq!(reader["role"], "read", "{path}: {reader}");
        let action = path.rsplit('/').next().unwrap();
        for entry in &entries[3 * number..] {
            assert_eq!(entry["action"], action, "{path}: {entry}");
        }
    }
}

#[tokio::test]
async fn dry_runs_have_no_entry() {
    let node = node().await;
    let token = node.admin_token();
    for (path, order, status) in [
        (
            "/api/v1/replay",
            json!({ "hook": "q", "dry_run": true }),
            200,
        ),
        (
            "/api/v1/purge",
            json!({ "hook": "q", "dry_run": true }),
            409,
        ),
    ] {
        let order = order.to_string();
        let sent = post(&node, &token, path, "application/json", &order).await;
        assert_eq!(sent, status, "{path}");
    }
    assert_eq!(entries(&node).await, Vec::<Value>::new());

    // A pause has no dry run.
    let order = json!({ "dry_run": true });
    node.order("/api/v1/hooks/q/pause", order).await;
    assert_eq!(node.hook("q").await.unwrap()["paused"], true);
    assert_eq!(entries(&node).await.len(), 1);
}

/// A dry run asks for no change only if the command reads it as one.
#[tokio::test]
async fn unreadable_dry_runs_have_entries() {
    let node = node().await;
    let token = node.admin_token();
    let mut sent = 0;
    for (path, body) in [
        (
            "replay",
            "{\"hook\":\"q\",\"dry_run\":true,\"dry_run\":true}",
        ),
        (
            "replay",
            "{\"hook\":\"q\",\"dry_run\":false,\"dry_run\":true}",
        ),
        (
            "retry-now",
            "{\"hook\":\"q\",\"dry\\u005frun\":true,\"dry_run\":true}",
        ),
        (
            "discard",
            "{\"hook\":\"q\",\"dry_run\":true,\"canary\":\"canary\"}",
        ),
        ("purge", "{\"hook\":7,\"dry_run\":true}"),
        ("purge", "{\"dry_run\":true}"),
        ("replay", "{\"hook\":\"\\u0000\",\"dry_run\":true}"),
        ("hooks/q/reconcile", "{\"since\":1,\"dry_run\":true}"),
        ("hooks/%ff/reconcile", "{\"dry_run\":true}"),
        ("replay", "[\"dry_run\",true]"),
    ] {
        let path = format!("/api/v1/{path}");
        let status = post(&node, &token, &path, "application/json", body).await;
        assert_eq!(status, 400, "{path} {body}");
        sent += 1;
        let entries = entries(&node).await;
        assert_eq!(entries.len(), sent, "{path} {body}: {entries:?}");
        assert_eq!(entries[sent - 1]["result"]["status"], 400, "{body}");
    }
    let body = "{\"hook\":\"q\",\"dry_run\":true}";
    let path = "/api/v1/replay";
    let status = post(&node, READ_TOKEN, path, "application/json", body).await;
    assert_eq!(status, 403);

    let entries = entries(&node).await;
    assert_eq!(entries.len(), sent + 1);
    assert!(
        !json!(entries).to_string().contains("canary"),
        "{entries:?}"
    );
}

#[tokio::test]
async fn records_have_only_known_keys() {
    let node = node().await;
    let token = node.admin_token();
    for (path, body, status) in [
        ("hooks/q/pause", json!({ "canary": "canary" }), 200),
        (
            "hooks/q/resume",
            json!({ "hook": { "canary": "canary" } }),
            200,
        ),
        ("replay", json!({ "hook": "q", "canary": "canary" }), 400),
        (
            "replay",
            json!({ "hook": "q", "events": [{ "canary": 1 }] }),
            400,
        ),
        ("purge", json!({ "hook": "q", "password": "canary" }), 400),
        ("discard", json!(["canary"]), 400),
    ] {
        let (path, body) = (format!("/api/v1/{path}"), body.to_string());
        let found = post(&node, &token, &path, "application/json", &body).await;
        assert_eq!(found, status, "{path} {body}");
    }

    let entries = entries(&node).await;
    assert_eq!(entries.len(), 6, "{entries:?}");
    for entry in &entries[..5] {
        assert_eq!(entry["detail"]["keys_left_out"], 1, "{entry}");
        assert_eq!(entry["hook"], "q", "{entry}");
    }
    assert_eq!(entries[5]["detail"]["bytes"], 10, "{entries:?}");
    assert!(
        !json!(entries).to_string().contains("canary"),
        "{entries:?}"
    );
}

#[tokio::test]
async fn requests_without_endpoint_have_entries() {
    let node = node().await;
    let operate = format!("Bearer {}", node.admin_token());
    let read = format!("Bearer {READ_TOKEN}");
    let refused = [
        ("POST", "/api/v1/canary", 404, "/api/v1/…"),
        ("POST", "/api/canary?canary=1", 404, "/api/…"),
        ("DELETE", "/api/v1/hooks/canary", 405, "/api/v1/hooks/…"),
        ("PUT", "/api/v1/replay", 405, "/api/v1/replay"),
        ("PATCH", "/metrics", 405, "/metrics"),
        ("CANARY", "/api/v1/reload", 405, "/api/v1/reload"),
    ];
    for (method, path, status, _) in refused {
        for token in [&operate, &read] {
            let headers = [("authorization", token.as_str())];
            assert_eq!(asked(&node, method, path, &headers).await, status, "{path}");
        }
        // Not authenticated.
        assert_eq!(asked(&node, method, path, &[]).await, 401, "{path}");
    }
    for (path, status) in [("/api/v1/canary", 404), ("/api/v1/reload", 405)] {
        let headers = [("authorization", operate.as_str())];
        assert_eq!(asked(&node, "GET", path, &headers).await, status, "{path}");
    }

    let entries = entries(&node).await;
    assert_eq!(entries.len(), 2 * refused.len(), "{entries:?}");
    for (pair, (method, _, status, path)) in entries.chunks(2).zip(refused) {
        assert_eq!([&pair[0]["role"], &pair[1]["role"]], ["operate", "read"]);
        for entry in pair {
            assert_eq!(entry["action"], "unknown", "{entry}");
            assert_eq!(entry["detail"]["path"], path, "{entry}");
            let named = if method == "CANARY" { "other" } else { method };
            assert_eq!(entry["detail"]["method"], named, "{entry}");
            assert_eq!(entry["result"]["status"], status, "{entry}");
        }
    }
    let text = json!(entries).to_string().to_lowercase();
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test]
async fn foreign_senders_cannot_flood_the_record() {
    let node = node().await;
    let token = format!("Bearer {}", node.admin_token());
    let origin = ("origin", "https://evil.example");
    let path = "/api/v1/hooks/q/pause";
    let headers = [origin, ("authorization", token.as_str())];
    assert_eq!(asked(&node, "POST", path, &headers).await, 403);
    assert_eq!(asked(&node, "GET", path, &headers).await, 403);
    for _ in 0..150 {
        assert_eq!(asked(&node, "POST", path, &[origin]).await, 403);
    }

    let page = node.ask("/api/v1/audit?limit=1000").await;
    let entries = page["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 100);
    for entry in entries {
        assert_eq!(entry["action"], "foreign", "{entry}");
        assert_eq!(
            (&entry["role"], &entry["token"]),
            (&json!("none"), &json!(""))
        );
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
        assert_eq!(entry["result"]["status"], 403, "{entry}");
    }
    // Readers and operators have their entries all the same.
    let status = post(&node, READ_TOKEN, path, "application/json", "{}").await;
    assert_eq!(status, 403);
    node.order(path, json!({})).await;
    let page = node.ask("/api/v1/audit?action=pause").await;
    assert_eq!(page["entries"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn readers_cannot_flood_the_record() {
    let node = node().await;
    for _ in 0..150 {
        let path = "/api/v1/hooks/q/pause";
        let status = post(&node, READ_TOKEN, path, "application/json", "{}").await;
        assert_eq!(status, 403);
    }
    let page = node.ask("/api/v1/audit?limit=1000").await;
    assert_eq!(page["entries"].as_array().unwrap().len(), 100);
}
