//! The protocol itself: what is refused, and what is kept of a client.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use landfall_tests::Node;
use serde_json::{Value, json};

use super::{READ_TOKEN, node};

const CLIENTS: usize = 1_000;

fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "t", "version": "1" },
        },
    })
}

fn hooks_call(id: u64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "hooks", "arguments": {} } })
}

fn request(node: &Node) -> reqwest::RequestBuilder {
    request_of(node, "application/json")
}

fn request_of(node: &Node, content_type: &str) -> reqwest::RequestBuilder {
    node.admin_client
        .post(format!("http://{}/mcp", node.admin))
        .bearer_auth(READ_TOKEN)
        .header("content-type", content_type)
        .header("accept", "application/json, text/event-stream")
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request
        .send()
        .await
        .expect("the node answers")
        .status()
        .as_u16()
}

#[tokio::test]
async fn broken_requests_are_refused() {
    let node = node().await;
    let large = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}",
        "x".repeat(1 << 20)
    );
    for (body, expected) in [
        ("{".to_owned(), 415),
        ("".to_owned(), 415),
        ("[]".to_owned(), 415),
        (json!([initialize()]).to_string(), 415),
        ("{}".to_owned(), 415),
        ("[".repeat(100_000), 415),
        (large, 413),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "result": {} }).to_string(),
            400,
        ),
    ] {
        let beginning: String = body.chars().take(60).collect();
        assert_eq!(
            status(request(&node).body(body)).await,
            expected,
            "{beginning}"
        );
    }
    let plain = request_of(&node, "text/plain").body(initialize().to_string());
    assert_eq!(status(plain).await, 415);
    let url = format!("http://{}/mcp", node.admin);
    for method in ["GET", "DELETE", "PUT"] {
        let method = method.parse().unwrap();
        let request = node
            .admin_client
            .request(method, &url)
            .bearer_auth(READ_TOKEN);
        assert_eq!(status(request).await, 405);
    }

    let unknown = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "erase\u{202e}" } });
    let answer = request(&node)
        .body(unknown.to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.expect("JSON");
    let why = answer["error"]["message"].as_str().unwrap();
    assert!(why.contains("erase\\u{202e}"), "{why}");
    let method = format!("\u{202e}{}", "x".repeat(100_000));
    let long = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
    let answer = request(&node).body(long.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    let why = answer["error"]["message"].as_str().unwrap();
    assert!(why.starts_with("there is no method `\\u{202e}xxx"), "{why}");
    assert!(why.len() < 300, "{why}");
    let unreadable =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": 7 } });
    let answer = request(&node)
        .body(unreadable.to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.expect("JSON");
    let why = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("parameters of `tools/call`"), "{answer}");
    assert_eq!(
        status(request(&node).body(hooks_call(1).to_string())).await,
        200
    );
    let log = node.log();
    assert!(log.lines().all(|line| line.len() < 10_000), "a long line");
    assert!(!log.contains("rmcp::"), "{log}");
}

#[tokio::test]
async fn foreign_senders_are_refused() {
    let node = node().await;
    let body = hooks_call(1).to_string();
    for (header, value, expected) in [
        ("origin", "https://evil.example", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("host", "evil.example", 421),
    ] {
        let request = request(&node).header(header, value).body(body.clone());
        assert_eq!(status(request).await, expected, "{header}");
    }
    let url = format!("http://{}/mcp", node.admin);
    let open = node.admin_client.post(&url).body(body.clone());
    assert_eq!(status(open).await, 401);
    let wrong = node.admin_client.post(&url).bearer_auth("wrong").body(body);
    assert_eq!(status(wrong).await, 401);

    let entries = node.ask("/api/v1/audit").await["entries"].clone();
    let entries = entries.as_array().unwrap();
    assert_eq!(entries.len(), 3, "{entries:?}");
    for entry in entries {
        assert_eq!(
            (&entry["action"], &entry["role"]),
            (&"foreign".into(), &"none".into())
        );
        assert_eq!(entry["detail"]["path"], "/mcp", "{entry}");
    }
    let refusals = node.ask("/api/v1/refusals?hook=_admin").await;
    assert_eq!(refusals.as_array().unwrap().len(), 5, "{refusals}");
}

/// Nothing is kept between two requests, so there is nothing to fill.
#[tokio::test]
async fn thousand_clients_leave_no_session() {
    let node = node().await;
    for _ in 0..CLIENTS {
        let answer = request(&node)
            .body(initialize().to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get("mcp-session-id").is_none());
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["result"]["serverInfo"]["name"], "landfall");
    }
    let with_session = request(&node).header("mcp-session-id", "a-session");
    assert_eq!(
        status(with_session.body(hooks_call(1).to_string())).await,
        200
    );
}

#[tokio::test]
async fn newest_protocol_needs_no_handshake() {
    let node = node().await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
    });
    for (method, name, params) in [
        ("server/discover", None, json!({ "_meta": meta })),
        ("tools/list", None, json!({ "_meta": meta })),
        (
            "tools/call",
            Some("hooks"),
            json!({ "_meta": meta, "name": "hooks", "arguments": {} }),
        ),
    ] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = request(&node)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        let request = match name {
            Some(name) => request.header("mcp-name", name),
            None => request,
        };
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(status, 200, "{method}: {answer}");
        assert!(answer["result"].is_object(), "{method}: {answer}");
    }
}

/// `landfall mcp` without a client library.
struct Raw {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

// === impl Raw ===

impl Raw {
    fn start(node: &Node) -> Raw {
        let mut command = node.command();
        command
            .arg("mcp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        Raw {
            stdin: child.stdin.take().expect("stdin is piped"),
            stdout: BufReader::new(child.stdout.take().expect("stdout is piped")),
            child,
        }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("it reads");
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("JSON: {line}"))
    }
}

#[tokio::test]
async fn broken_lines_are_answered() {
    let node = node().await;
    let mut client = Raw::start(&node);
    client.send("no JSON");
    assert_eq!(client.answer()["error"]["code"], -32600);
    client.send(&initialize().to_string());
    assert_eq!(client.answer()["result"]["serverInfo"]["name"], "landfall");
    client.send("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");

    let large = "x".repeat(2 << 20);
    for line in ["{", "[1]", "{\"jsonrpc\":\"2.0\"}", large.as_str()] {
        client.send(line);
        let answer = client.answer();
        assert_eq!(answer["error"]["code"], -32600, "{answer}");
    }
    client.send(&hooks_call(7).to_string());
    let answer = client.answer();
    assert_eq!(answer["id"], 7, "{answer}");
    assert_eq!(answer["result"]["isError"], false, "{answer}");

    drop(client.stdin);
    assert!(client.child.wait().unwrap().success());
}

#[tokio::test]
async fn absent_nodes_are_told() {
    let node = node().await;
    let mut client = Raw::start(&node);
    drop(node);
    client.send(&initialize().to_string());
    client.answer();
    client.send("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    client.send("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}");
    let listed = client.answer();
    assert!(
        listed["result"]["tools"].as_array().unwrap().len() > 5,
        "{listed}"
    );
    client.send(&hooks_call(3).to_string());
    let answer = client.answer();
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("admin listener") || text.contains("token"),
        "{text}"
    );
}
