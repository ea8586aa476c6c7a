//! `/api/v1`: the OpenAPI document, roles, the audit record, server-sent events, errors, and what each endpoint answers.

mod audit;
mod document;
mod errors;
mod ledgers;
mod reads;
mod roles;
pub(crate) mod tail;

use landfall_tests::{Node, Setup, guest};
use serde_json::Value;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const READ_TOKEN: &str = "a-read-token-of-32-characters-00";

/// A hook whose events are done.
fn setup() -> Setup {
    Setup::new().hook(
        "q",
        &guest("answers_one"),
        &format!("mode = \"async\"\n{OPEN}"),
    )
}

/// A node with a hook whose events are done, and a token that only reads.
async fn node() -> Node {
    setup()
        .env("READ_TOKEN", READ_TOKEN)
        .env("LANDFALL_ADMIN_READ_TOKEN", "env:READ_TOKEN")
        .env("LANDFALL_SHAPE_LEARN", "false")
        .serving("q")
        .await
}

/// An operation of the OpenAPI document.
#[derive(Debug, Clone)]
struct Operation {
    /// In upper case.
    method: String,
    /// With `{NAME}` segments.
    path: String,
    role: String,
}

/// The operations of the node's OpenAPI document.
async fn operations(node: &Node) -> Vec<Operation> {
    let document = node.ask("/api/v1/openapi.json").await;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let role = &operation["security"][0]["token"][0];
            found.push(Operation {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                role: role.as_str().expect("a role").to_owned(),
            });
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

// === impl Operation ===

impl Operation {
    /// The path for this event of the hook `q`.
    fn path_for(&self, event: &str) -> String {
        self.path
            .replace("{hook}", "q")
            .replace("{table}", "t")
            .replace("{id}", event)
    }

    /// A body that the operation takes and that changes nothing.
    fn body(&self) -> Value {
        match self.path.as_str() {
            "/api/v1/replay" | "/api/v1/retry-now" => {
                serde_json::json!({ "hook": "q", "dry_run": true })
            }
            "/api/v1/discard" => {
                serde_json::json!({ "hook": "q", "reason": "a test", "dry_run": true })
            }
            "/api/v1/purge" => serde_json::json!({ "hook": "absent", "dry_run": true }),
            "/api/v1/check" => serde_json::json!({ "hook": "new", "text": "" }),
            "/api/v1/erase" => serde_json::json!({ "events": ["00000000"], "dry_run": true }),
            _ => serde_json::json!({}),
        }
    }

    /// Sends it with a token. Status and body; of a stream, only the status.
    async fn send(&self, node: &Node, token: &str, event: &str) -> (u16, Value) {
        let url = format!("http://{}{}", node.admin, self.path_for(event));
        let request = match self.method.as_str() {
            "GET" => node.client.get(url),
            "POST" => node.client.post(url).json(&self.body()),
            other => panic!("{other} {}", self.path),
        };
        let request = if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        };
        let response = request.send().await.expect("the node answers");
        let status = response.status().as_u16();
        if status == 200 && self.path == "/api/v1/tail" {
            return (status, Value::Null);
        }
        (status, response.json().await.expect("JSON"))
    }
}
