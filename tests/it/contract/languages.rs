//! The component `contract_cases` in Rust, TypeScript, Python, C and Zig: the same cases end the same way in each language.

use std::net::SocketAddr;

use landfall_tests::ports::{free_port, listener};
use landfall_tests::{Language, Node, Receiver, Setup, contract_cases, eventually, fixture, sign};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "a secret of the test";
const QUICK: &str = "backoff = { first = \"50ms\", factor = 1.0, max = \"50ms\", jitter = 0.0 }\n";

#[tokio::test]
async fn rust_components_keep_the_contract() {
    keeps_the_contract(Language::Rust).await;
}

#[tokio::test]
async fn typescript_components_keep_the_contract() {
    keeps_the_contract(Language::TypeScript).await;
}

#[tokio::test]
async fn python_components_keep_the_contract() {
    keeps_the_contract(Language::Python).await;
}

#[tokio::test]
async fn c_components_keep_the_contract() {
    keeps_the_contract(Language::C).await;
}

#[tokio::test]
async fn zig_components_keep_the_contract() {
    keeps_the_contract(Language::Zig).await;
}

/// Every case of one language on one node. All hooks have the same component.
async fn keeps_the_contract(language: Language) {
    let Some(component) = contract_cases(language) else {
        return;
    };
    let receiver = Receiver::start().await;
    let peer = misbehaving_peer().await;
    let closed = SocketAddr::from(([127, 0, 0, 1], free_port()));

    let component = std::fs::read(component).expect("the component was built");
    let node = Setup::new()
        .env("GITHUB_SECRET", SECRET)
        .file("contract.wasm", component)
        .file("plain.toml", hook("sync", &plain(&receiver, peer, closed)))
        .file("queued.toml", hook("async", &queued(&receiver)))
        .file("deferred.toml", deferred(false))
        .file("github.toml", signed("github"))
        .file("lemonsqueezy.toml", signed("lemonsqueezy"))
        .start()
        .await;
    for name in ["plain", "queued", "deferred", "github", "lemonsqueezy"] {
        node.until(name, "serving").await;
    }

    replies(&node).await;
    fields(&node).await;
    rejections(&node).await;
    http_errors(&node, &receiver, peer, closed).await;
    parallel_calls(&node, &receiver, closed).await;
    retries_and_keys(&node, &receiver).await;
    deferrals(&node).await;
}

// === Hook files ===

fn hook(mode: &str, more: &str) -> String {
    format!("component = \"contract.wasm\"\nmode = \"{mode}\"\n{more}")
}

/// Calls may go to the receiver, to the peer and to addresses that do not answer. Of one URL, the credential has no value.
fn plain(receiver: &Receiver, peer: SocketAddr, closed: SocketAddr) -> String {
    format!(
        "[verify]\nscheme = \"none\"\n\
         [allow]\nhttp = [\"{}\", \"http://{peer}/\", \"https://{peer}/\", \"http://{closed}/\", \
         \"http://name.invalid/\"]\n\
         [[credentials]]\nfor = \"{}\"\nheader = \"x-key\"\nvalue = \"${{env:NOT_SET}}\"\n",
        receiver.url("/"),
        receiver.url("/credential")
    )
}

fn queued(receiver: &Receiver) -> String {
    format!(
        "[verify]\nscheme = \"none\"\n[allow]\nhttp = [\"{}\"]\n[retry]\nattempts = 2\n{QUICK}",
        receiver.url("/")
    )
}

/// One attempt only: an attempt that defers does not count.
fn deferred(is_ready: bool) -> String {
    let more = format!(
        "[verify]\nscheme = \"none\"\n[settings]\nready = {is_ready}\n[retry]\nattempts = 1\n{QUICK}"
    );
    hook("async", &more)
}

fn signed(provider: &str) -> String {
    let more = format!("[verify]\nprovider = \"{provider}\"\nsecret = \"env:GITHUB_SECRET\"\n");
    hook("sync", &more)
}

// === Cases ===

async fn replies(node: &Node) {
    assert_eq!(
        post(node, "plain", json!({"case": "text"})).await,
        (200, "hello".to_owned())
    );

    // None: what the provider takes for success. Lemon Squeezy takes only 200.
    let none = json!({"case": "none"}).to_string();
    let signature = sign(SECRET, none.as_bytes());
    let headers = [("x-signature", signature.trim_start_matches("sha256="))];
    let (status, _) = node.post("/lemonsqueezy", &headers, none).await;
    assert_eq!(status, 200, "{}", node.log());
}

async fn fields(node: &Node) {
    let body = json!({"case": "fields"});
    let unknown = json!({"provider": null, "event_type": null, "delivery_id": null});
    assert_eq!(post_json(node, "plain", body.clone()).await, (200, unknown));

    let body = body.to_string();
    let signature = sign(SECRET, body.as_bytes());
    let headers = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-event", "push"),
        ("x-github-delivery", "d-1"),
    ];
    let (status, text) = node.post("/github", &headers, body).await;
    let found: Value = serde_json::from_str(&text).expect(&text);
    let expected = json!({"provider": "github", "event_type": "push", "delivery_id": "d-1"});
    assert_eq!((status, found), (200, expected));
}

async fn rejections(node: &Node) {
    let (status, text) = post(node, "plain", json!({"case": "reject"})).await;
    assert_eq!(status, 422, "{text}");
    assert!(!text.contains("on purpose"), "{text}");

    let conflict = post_json(node, "plain", json!({"case": "reject-reply"})).await;
    assert_eq!(conflict, (409, json!({"error": "conflict"})));
    node.until_log("rejected on purpose").await;

    // A body that is no JSON, one without a case, one that is no text.
    let payload = String::from_utf8(fixture("push-1")).expect("a text");
    for body in [b"no JSON".to_vec(), payload.into(), b"\xff".to_vec()] {
        assert_eq!(node.post("/plain", &[], body).await.0, 422);
    }
    node.until_log("unknown case").await;
}

async fn http_errors(node: &Node, receiver: &Receiver, peer: SocketAddr, closed: SocketAddr) {
    let calls = [
        ("200", json!({"url": receiver.url("/a")})),
        ("denied", json!({"url": "http://127.0.0.1:1/"})),
        (
            "invalid",
            json!({"url": receiver.url("/a"), "headers": [["connection", "close"]]}),
        ),
        ("unavailable", json!({"url": receiver.url("/credential")})),
        ("unresolved", json!({"url": "http://name.invalid/"})),
        ("unreachable", json!({"url": format!("http://{closed}/")})),
        ("tls", json!({"url": format!("https://{peer}/")})),
        (
            "interrupted",
            json!({"url": format!("http://{peer}/breaks"), "method": "POST", "body": "x"}),
        ),
        (
            "timeout",
            json!({"url": format!("http://{peer}/silent"), "timeout_ms": 200}),
        ),
        ("limit", json!({"url": format!("http://{peer}/endless")})),
    ];
    for (expected, mut call) in calls {
        call["case"] = "http-error".into();
        let what = call.to_string();
        assert_eq!(
            post(node, "plain", call).await,
            (200, expected.to_owned()),
            "{what}\n{}",
            node.log()
        );
    }
}

async fn parallel_calls(node: &Node, receiver: &Receiver, closed: SocketAddr) {
    let urls = [
        "http://127.0.0.1:1/".to_owned(),
        receiver.url("/b"),
        format!("http://{closed}/"),
        receiver.url("/c"),
    ];
    let sent = post_json(node, "plain", json!({"case": "send-all", "urls": urls})).await;
    assert_eq!(sent, (200, json!(["denied", 200, "unreachable", 200])));
}

async fn retries_and_keys(node: &Node, receiver: &Receiver) {
    post(node, "queued", json!({"case": "retry", "after_s": 0})).await;
    node.until_states("queued", &["done"]).await;

    let before = receiver.got().len();
    let url = receiver.url("/keys");
    post(
        node,
        "queued",
        json!({"case": "keys", "url": url, "fail": true}),
    )
    .await;
    node.until_states("queued", &["done", "done"]).await;
    let calls = receiver.got().split_off(before);
    let keys: Vec<&str> = calls
        .iter()
        .map(|call| {
            assert_eq!(call.body, b"same");
            call.headers["idempotency-key"].to_str().expect("a text")
        })
        .collect();

    // Five calls in each of two attempts.
    assert_eq!(keys.len(), 10, "{keys:?}");
    assert_eq!(keys[..5], keys[5..], "the same on every attempt");
    assert_eq!(keys[4], "own", "the component's own key stays");
    let mut different = keys[..5].to_vec();
    different.sort_unstable();
    different.dedup();
    assert_eq!(
        different.len(),
        5,
        "each call has a key of its own: {keys:?}"
    );
}

async fn deferrals(node: &Node) {
    post(node, "deferred", json!({"case": "defer"})).await;
    eventually("the event is deferred twice", || async {
        let log = node.log();
        let attempts = log.lines().filter(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            line["hook"] == "deferred" && line["outcome"] == "defer"
        });
        (attempts.count() >= 2).then_some(())
    })
    .await;

    node.put("deferred.toml", deferred(true));
    node.until_states("deferred", &["done"]).await;
}

// === Helpers ===

async fn post(node: &Node, hook: &str, case: Value) -> (u16, String) {
    node.post(&format!("/{hook}"), &[], case.to_string()).await
}

async fn post_json(node: &Node, hook: &str, case: Value) -> (u16, Value) {
    let (status, text) = post(node, hook, case).await;
    let json =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text}\n{}", node.log()));
    (status, json)
}

/// A server that breaks off at `/breaks`, never answers at `/silent`, never ends its answer at `/endless`, and has no TLS.
async fn misbehaving_peer() -> SocketAddr {
    let listener = listener();
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(misbehave(stream));
        }
    });
    address
}

async fn misbehave(mut stream: TcpStream) {
    let mut request = [0; 4096];
    let Ok(length) = stream.read(&mut request).await else {
        return;
    };
    let request = String::from_utf8_lossy(&request[..length]);
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    if request.contains("/breaks") {
        return;
    }
    if request.contains("/silent") {
        std::future::pending::<()>().await;
    }
    if stream.write_all(head).await.is_err() || !request.contains("/endless") {
        return;
    }
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    while stream.write_all(&chunk).await.is_ok() {}
}
