//! The MCP server: the tools of `landfall mcp` and of `/mcp`, called by the official client.

mod client;
mod cursors;
mod documented;
mod protocol;
mod roles;
mod tools;
mod tried;

use landfall_tests::{Node, Setup, guest};
use serde_json::Value;

const READ_TOKEN: &str = "a-read-token-of-32-characters-00";
const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// A node with a hook whose events are done, one whose events are dead, and a token that only
/// reads.
async fn node() -> Node {
    let node = setup().serving("q").await;
    node.until("fails", "serving").await;
    node
}

fn setup() -> Setup {
    let asynchronous = format!("mode = \"async\"\n{OPEN}");
    Setup::new()
        .hook("q", &guest("answers_one"), &asynchronous)
        .hook("fails", &guest("rejects"), &asynchronous)
        .env("READ_TOKEN", READ_TOKEN)
        .env("LANDFALL_ADMIN_READ_TOKEN", "env:READ_TOKEN")
}

/// The JSON of a page that a tool has returned, which must be no error.
fn json(page: &Value) -> Value {
    assert_eq!(page["isError"], false, "{page}");
    let texts = page["texts"].as_array().expect("texts");
    let last = texts.last().and_then(Value::as_str).expect("a text");
    serde_json::from_str(last).unwrap_or_else(|_| panic!("JSON: {last}"))
}

/// The sentence of an error.
fn error(page: &Value) -> String {
    assert_eq!(page["isError"], true, "{page}");
    page["texts"][0].as_str().expect("a text").to_owned()
}
