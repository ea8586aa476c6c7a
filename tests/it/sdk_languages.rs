//! The SDKs for TypeScript and Python. The handlers of `tests/guests/sdk` are built with the SDKs' commands and run on a node: the
//! same cases end the same way in both languages.

mod authors;
mod http_errors;
mod pages;
mod payloads;
mod rust_types;
mod typescript_types;

use std::path::Path;
use std::process::Command;

use landfall_tests::sdks::{Sdk, sdk_cases, succeeded};
use landfall_tests::{Node, Receiver, Setup, event_id, eventually, landfall};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const GRANTS: &str = "[allow]\nkv = true\ntable = [\"pushes\"]\nemit = [\"sink\"]\n";

#[tokio::test]
async fn typescript_handlers_keep_the_contract() {
    keeps_the_contract(Sdk::TypeScript).await;
}

#[tokio::test]
async fn python_handlers_keep_the_contract() {
    keeps_the_contract(Sdk::Python).await;
}

/// Every case of one language on one node. All hooks have the same component.
async fn keeps_the_contract(sdk: Sdk) {
    let Some(component) = sdk_cases(sdk) else {
        return;
    };
    let receiver = Receiver::start().await;
    let node = Setup::new()
        .file(
            "cases.wasm",
            std::fs::read(&component).expect("it was built"),
        )
        .file("cases.toml", cases(&receiver))
        .file("sink.toml", hook("async", GRANTS))
        .file("quick.toml", hook("async", GRANTS))
        .start()
        .await;
    for name in ["cases", "sink", "quick"] {
        node.until(name, "serving").await;
    }

    replies(&node).await;
    failures(&node).await;
    places(&node, sdk).await;
    calls(&node, &receiver).await;
    effects(&node).await;
    lines(&node, sdk).await;
    wrong_values(&node).await;
    random_numbers(&node).await;
    quick_answers(&node, sdk).await;
    manifest(&component);
    if sdk == Sdk::Python {
        let imported = post_json(&node, json!({"case": "later"})).await;
        assert_eq!(imported, json!([2026, 0.0]));
    }
    if sdk == Sdk::TypeScript {
        promises(&node).await;
        recursion(&node).await;
        globals(&node).await;
    }
}

// === Hook files ===

fn hook(mode: &str, more: &str) -> String {
    format!("component = \"cases.wasm\"\nmode = \"{mode}\"\n{OPEN}{more}")
}

fn cases(receiver: &Receiver) -> String {
    format!(
        "component = \"cases.wasm\"\nmode = \"sync\"\npath = \"/cases/{{part}}\"\n{OPEN}\
         [settings]\nbranch = \"main\"\nlimit = 3\n{GRANTS}http = [\"{}\"]\n",
        receiver.url("/")
    )
}

// === Cases ===

async fn replies(node: &Node) {
    assert_eq!(
        post(node, json!({"case": "text"})).await,
        (200, "hello".into())
    );
    assert_eq!(post(node, json!({"case": "none"})).await.0, 202);
    assert_eq!(
        post(node, json!({"case": "?"})).await,
        (400, "unknown: ?".into())
    );

    let body = json!({"case": "fields"}).to_string();
    let headers = [("x-case", "A")];
    let (status, text) = node
        .post("/cases/acme?q=x%20y", &headers, body.clone())
        .await;
    let expected = json!({
        "provider": true, "query": "x y", "header": "A", "param": "acme", "year": true, "bytes": body.len()
    });
    assert_eq!((status, parsed(&text)), (200, expected));

    let settings = post_json(node, json!({"case": "settings"})).await;
    let expected = json!({"all": {"branch": "main", "limit": 3}, "branch": "main", "none": true});
    assert_eq!(settings, expected);
}

async fn failures(node: &Node) {
    let rejected = post(node, json!({"case": "reject"})).await;
    assert_eq!(
        (rejected.0, parsed(&rejected.1)),
        (409, json!({"error": "conflict"}))
    );
    attempt(node, "reject", "never").await;

    post(node, json!({"case": "retry"})).await;
    attempt(node, "retry", "later").await;
    post(node, json!({"case": "defer"})).await;
    attempt(node, "defer", "not yet").await;

    let (status, _) = node.post("/cases/x", &[], "no JSON").await;
    assert_eq!(status, 422);
    attempt(node, "reject", "the body is not JSON: ").await;
}

/// An exception is a retry whose reason has the place in the author's file, and every place above it.
async fn places(node: &Node, sdk: Sdk) {
    post(node, json!({"case": "throw"})).await;
    match sdk {
        Sdk::TypeScript => {
            attempt(
                node,
                "retry",
                "TypeError: cannot read property 'valueOf' of undefined (src/helper.ts:5:",
            )
            .await;
        }
        Sdk::Python => {
            let line = attempt(node, "retry", "KeyError: 'price' (helper.py:8)").await;
            let reason = line["reason"].as_str().unwrap();
            assert!(
                reason.contains("helper.py:8 in total: return sum("),
                "{reason}"
            );
            assert!(
                reason.contains(" in on_event: return {\"total\""),
                "{reason}"
            );
        }
    }
}

async fn calls(node: &Node, receiver: &Receiver) {
    let url = receiver.url("/a");
    let answered = post_json(node, json!({"case": "fetch", "url": url})).await;
    assert_eq!(first(&answered), json!(200));
    let got = receiver.got().pop().expect("a request");
    assert_eq!(
        (got.method.as_str(), got.headers["x-from"].to_str().unwrap()),
        ("POST", "sdk")
    );
    assert_eq!(parsed(&String::from_utf8_lossy(&got.body)), json!({"a": 1}));

    for (kind, url) in [("denied", "http://127.0.0.1:1/"), ("invalid", "no URL")] {
        let failed = post_json(node, json!({"case": "fetch", "url": url})).await;
        assert_eq!(first(&failed), json!(kind), "{url}");
    }

    let urls = ["http://127.0.0.1:1/", &receiver.url("/b")];
    let sent = post_json(node, json!({"case": "send-all", "urls": urls})).await;
    assert_eq!(sent, json!(["denied", 200]));
}

/// Python returns a list, because a number is no reply.
fn first(answer: &Value) -> Value {
    answer.get(0).unwrap_or(answer).clone()
}

async fn effects(node: &Node) {
    let made = post_json(node, json!({"case": "effects"})).await;
    let expected = json!({
        "number": 1, "bytes": [255], "five": "5", "doc": {"a": 1}, "none": true, "keys": ["doc"], "swapped": true
    });
    assert_eq!(made, expected);

    let rows = node.rows("cases", "pushes").await;
    assert!(rows[0].to_string().contains("main"), "{rows:?}");
    let emitted = eventually("the emitted event is done", || async {
        let deliveries = node.deliveries("sink").await;
        deliveries.into_iter().find(|one| one["state"] == "done")
    })
    .await;
    let path = format!("/api/v1/events/{}", emitted["event"].as_str().unwrap());
    let event = node.ask(&path).await;
    assert!(event.to_string().contains("\"made\""), "{event}");
}

async fn lines(node: &Node, sdk: Sdk) {
    assert_eq!(post(node, json!({"case": "log"})).await.0, 202);
    let values = match sdk {
        Sdk::TypeScript => "an info line { a: [1] }",
        Sdk::Python => "an info line {'a': [1]}",
    };
    let mut expected = vec![
        ("INFO", values),
        ("WARN", "a warn line"),
        ("ERROR", "an error line"),
    ];
    if sdk == Sdk::Python {
        expected.push(("WARN", "a line of stderr"));
    }
    for (level, message) in expected {
        node.logged(message, |line| {
            line["level"] == level && line["message"] == message
        })
        .await;
    }
}

/// What the contract cannot have is replaced or named. The interpreters would end the component.
async fn wrong_values(node: &Node) {
    let body = r#"{"case": "surrogate", "text": "\ud800"}"#;
    let (status, text) = node.post("/cases/x", &[], body).await;
    assert_eq!((status, text.as_str()), (200, "\u{fffd}"));
    post(node, json!({"case": "wrong-type"})).await;
    attempt(node, "retry", "TypeError: a key of kv is text, not ").await;
}

/// Instances are copies of the one that was built, and draw other numbers all the same.
async fn random_numbers(node: &Node) {
    let one = post_json(node, json!({"case": "random"})).await;
    let two = post_json(node, json!({"case": "random"})).await;
    for at in 0..3 {
        assert_ne!(one[at], two[at]);
    }
    assert_ne!(one[0], one[1]);
    for drawn in [&one[0], &one[1], &two[0]] {
        assert!((0.0..1.0).contains(&drawn.as_f64().unwrap()), "{drawn}");
    }
    assert_eq!(one[3], false);
}

async fn quick_answers(node: &Node, sdk: Sdk) {
    let body = json!({"case": "none"}).to_string();
    let (status, text) = node.post("/quick", &[], body.clone()).await;
    assert_eq!(status, 200, "{text}");
    let (_, other) = node.post("/quick", &[], body).await;
    assert_ne!(parsed(&text)["random"], parsed(&other)["random"]);

    // The error of a responder is for the operator.
    let body = json!({"case": "responder-throws"}).to_string();
    let answer = node.post("/quick", &[], body).await;
    assert_eq!(answer.0, 202, "{answer:?}");
    event_id(&answer);
    let place = match sdk {
        Sdk::TypeScript => "Error: not now (src/handler.ts:",
        Sdk::Python => "RuntimeError: not now (handler.py:",
    };
    node.until_log(place).await;
}

fn manifest(component: &Path) {
    let output = Command::new(landfall())
        .arg("inspect")
        .arg(component)
        .output()
        .expect("the binary starts");
    let said = succeeded(&output);
    for line in [
        "name     sdk-cases 1.2.3",
        "about    The \"cases\" of a test",
        "events   push",
        "kv = true",
        "exports  landfall:hook/responder@0.1.0",
    ] {
        assert!(said.contains(line), "{line} is not in:\n{said}");
    }
}

/// Without `await`, an error fails the attempt too; a promise that nothing resolves is named.
async fn promises(node: &Node) {
    post(node, json!({"case": "lost"})).await;
    attempt(
        node,
        "retry",
        "TypeError: cannot read property 'valueOf' of undefined",
    )
    .await;
    post(node, json!({"case": "hangs"})).await;
    attempt(node, "retry", "a promise that nothing resolves").await;
}

/// QuickJS does not know how much stack a component has: the host says what happened.
async fn recursion(node: &Node) {
    let full = "the component's stack is full: its recursion is too deep";
    post(node, json!({"case": "recurses"})).await;
    attempt(node, "trap", full).await;

    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let (status, text) = node.post("/cases/x", &[], deep).await;
    assert_eq!(status, 500, "{text}");
}

async fn globals(node: &Node) {
    let made = post_json(node, json!({"case": "globals"})).await;
    let expected = json!({
        "url": "https://xn--bcher-kva.example/b?x=1#f",
        "text": "é€",
        "base64": "abc",
        "clone": {"a": ["1970-01-01T00:00:00.000Z"]},
        "fromAsync": [2, 4],
        "drawn": 8,
        "timers": "setTimeout is not available in a handler",
        "subtle": "crypto.subtle is not available in a handler",
    });
    assert_eq!(made, expected);
}

// === Helpers ===

async fn post(node: &Node, body: Value) -> (u16, String) {
    node.post("/cases/x", &[], body.to_string()).await
}

async fn post_json(node: &Node, body: Value) -> Value {
    let what = body.to_string();
    let (status, text) = post(node, body).await;
    assert_eq!(status, 200, "{what}: {text}\n{}", node.log());
    parsed(&text)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Waits for an attempt with this outcome and reason.
async fn attempt(node: &Node, outcome: &str, reason: &str) -> Value {
    node.logged(&format!("{outcome}: {reason}"), |line| {
        line["outcome"] == outcome
            && line["reason"]
                .as_str()
                .is_some_and(|found| found.contains(reason))
    })
    .await
}
