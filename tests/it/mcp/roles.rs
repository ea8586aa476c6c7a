//! Tokens, roles, and what the audit record says.

use serde_json::{Value, json};

use super::client::{WAYS, call};
use super::{READ_TOKEN, error, json, node};

/// Calls that change something.
fn changes() -> Value {
    json!([
        { "name": "pause", "arguments": { "hook": "q" } },
        { "name": "resume", "arguments": { "hook": "q" } },
        { "name": "replay", "arguments": { "hook": "q", "state": "done" } },
        { "name": "replay", "arguments": { "hook": "q", "state": "done", "dry_run": true } },
        { "name": "retry", "arguments": { "hook": "q" } },
        { "name": "send_sample", "arguments": { "hook": "q" } },
    ])
}

#[tokio::test]
async fn readers_see_no_operate_tools() {
    let node = node().await;
    for way in WAYS {
        let seen = call(&node, way, READ_TOKEN, &changes());
        assert_eq!(
            seen.names(),
            [
                "explain",
                "hooks",
                "search",
                "show",
                "inspect",
                "check_hook_file"
            ],
            "{way:?}"
        );
        for pages in &seen.results {
            assert!(
                error(&pages[0]).contains("admin.token"),
                "{way:?}: {pages:?}"
            );
        }
    }

    assert!(node.deliveries("q").await.is_empty());
    assert_eq!(node.hook("q").await.unwrap()["paused"], false);
    let entries = node.ask("/api/v1/audit").await["entries"].clone();
    let entries = entries.as_array().unwrap();
    assert_eq!(entries.len(), 2 * changes().as_array().unwrap().len());
    for entry in entries {
        assert_eq!(entry["role"], "read", "{entry}");
        assert_eq!(entry["detail"]["via"], "mcp", "{entry}");
        assert_eq!(entry["result"]["status"], 403, "{entry}");
    }
    let refused = "landfall_mcp_calls_total{outcome=\"refused\",tool=\"pause\"} 1\n";
    let metrics = node.metrics().await;
    assert!(metrics.contains(refused), "{metrics}");
}

#[tokio::test]
async fn hints_say_what_tools_change() {
    let node = node().await;
    for way in WAYS {
        let seen = call(&node, way, &node.admin_token(), &json!([]));
        for tool in &seen.tools {
            let name = tool["name"].as_str().unwrap();
            let hints = &tool["annotations"];
            let changes = ["replay", "retry", "pause", "resume", "send_sample"];
            let is_change = changes.contains(&name);
            assert_eq!(hints["readOnlyHint"], !is_change, "{name}");
            let is_destructive = ["replay", "pause", "send_sample"].contains(&name);
            if is_change {
                assert_eq!(hints["destructiveHint"], is_destructive, "{name}");
            }
            assert!(tool["description"].as_str().unwrap().len() > 40, "{name}");
            let schema = &tool["inputSchema"];
            assert_eq!(schema["additionalProperties"], false, "{name}");
            for (argument, about) in schema["properties"].as_object().into_iter().flatten() {
                assert!(about["description"].is_string(), "{name} {argument}");
            }
        }
    }
}

#[tokio::test]
async fn the_record_names_the_way() {
    let node = node().await;
    node.order("/api/v1/hooks/q/pause", json!({})).await;
    for way in WAYS {
        let seen = call(&node, way, &node.admin_token(), &changes());
        json(seen.page(0));
    }
    let page = node.ask("/api/v1/audit").await;
    let mut entries = page["entries"].as_array().unwrap().clone();
    entries.reverse();
    assert_eq!(entries[0]["detail"].get("via"), None, "{}", entries[0]);
    // A dry run has no entry.
    let actions = ["pause", "resume", "replay", "retry-now", "send"];
    let found: Vec<&str> = entries[1..]
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(found, [actions, actions].concat());
    for entry in &entries[1..] {
        assert_eq!(entry["detail"]["via"], "mcp", "{entry}");
        assert_eq!(entry["role"], "operate", "{entry}");
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
    }
}
