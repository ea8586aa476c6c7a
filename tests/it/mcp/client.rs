//! The official client, as a program of its own (tests/sdk/mcp.mjs).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use landfall_tests::{Node, landfall, root};
use serde_json::{Value, json};

/// How a client comes to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `landfall mcp`.
    Stdio,
    /// `/mcp` of the admin listener.
    Http,
}

/// Both.
pub(super) const WAYS: [Way; 2] = [Way::Stdio, Way::Http];

/// What a client has seen.
pub(super) struct Seen {
    /// As the server lists them.
    pub(super) tools: Vec<Value>,
    /// One list of pages for each call.
    pub(super) results: Vec<Vec<Value>>,
    /// Everything, as the client printed it.
    pub(super) text: String,
}

// === impl Seen ===

impl Seen {
    /// The names of the tools.
    pub(super) fn names(&self) -> Vec<&str> {
        let names = self.tools.iter().map(|tool| tool["name"].as_str());
        names.map(|name| name.expect("a name")).collect()
    }

    /// The only page of a call.
    pub(super) fn page(&self, call: usize) -> &Value {
        let pages = &self.results[call];
        assert_eq!(pages.len(), 1, "{pages:?}");
        &pages[0]
    }
}

/// The server for this node, with this token.
pub(super) fn server(node: &Node, way: Way, token: &str) -> Value {
    let admin = format!("http://{}", node.admin);
    match way {
        Way::Http => json!({ "url": format!("{admin}/mcp"), "token": token }),
        Way::Stdio => json!({
            "command": landfall(),
            "args": ["mcp"],
            "env": { "LANDFALL_ADMIN": admin, "LANDFALL_ADMIN_TOKEN": "env:MCP_TOKEN", "MCP_TOKEN": token },
        }),
    }
}

/// Lets a client with this token call tools.
pub(super) fn call(node: &Node, way: Way, token: &str, calls: &Value) -> Seen {
    call_server(&server(node, way, token), calls)
}

/// Lets a client of this server call tools.
pub(super) fn call_server(server: &Value, calls: &Value) -> Seen {
    let mut command = node_js();
    command
        .arg("mcp.mjs")
        .current_dir(root().join("tests/sdk"))
        .env("LANDFALL_SDK_NODE", sdk());
    let text = run(
        command,
        &json!({ "server": server, "calls": calls }).to_string(),
    );
    let seen: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("JSON: {text}"));
    let instructions = seen["instructions"].as_str().unwrap_or_default();
    assert!(instructions.contains("`untrusted`"), "{instructions}");
    let list = |value: &Value| value.as_array().expect("a list").clone();
    Seen {
        tools: list(&seen["tools"]),
        results: list(&seen["results"]).iter().map(list).collect(),
        text,
    }
}

/// What a program prints that reads this input.
pub(super) fn run(mut command: Command, input: &str) -> String {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("the program reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("the program prints text")
}

/// Node.js.
pub(super) fn node_js() -> Command {
    let places = ["/usr/bin/node", "/usr/local/bin/node"].map(PathBuf::from);
    let found = places.into_iter().find(|path| path.exists());
    Command::new(found.expect("Node.js is installed (.ci/run)"))
}

/// The folder with the official client. A missing one is a failure: without it nothing here would
/// be tested.
pub(super) fn sdk() -> PathBuf {
    let folder = std::env::var_os("LANDFALL_SDK").map(PathBuf::from);
    let folder = folder.filter(|folder| {
        folder
            .join("node_modules/@modelcontextprotocol/sdk")
            .is_dir()
    });
    folder.expect(
        "the official MCP client is not installed: set LANDFALL_SDK to a folder with `node_modules` \
         (tests/sdk/package.json), as .ci/run sdks does",
    )
}
