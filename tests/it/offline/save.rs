//! `landfall events save`: a real event becomes a case that passes.

use landfall_tests::{Node, Receiver, Setup, eventually, guest};
use serde_json::Value;

use super::{Handler, code, stderr, stdout};

/// The deliveries of a node, once one has ended.
pub(super) async fn stored(node: &Node) -> Vec<Value> {
    eventually("a delivery has ended", || async {
        let listed = node.ask("/api/v1/events").await;
        let events = listed["events"].as_array()?.clone();
        let is_ended = |one: &Value| one["state"] == "done" || one["state"] == "dead";
        (!events.is_empty() && events.iter().all(is_ended)).then_some(events)
    })
    .await
}

fn save(node: &Node, handler: &Handler, args: &[&str]) -> std::process::Output {
    node.command()
        .args(["events", "save"])
        .args(args)
        .arg("--dir")
        .arg(handler.path(""))
        .output()
        .unwrap()
}

#[tokio::test]
async fn real_events_become_cases() {
    let receiver = Receiver::start().await;
    receiver.answer(418);
    let url = receiver.url("/a?token=of-the-handler");
    let hook = format!(
        "path = \"/in/{{team}}\"\n[verify]\nscheme = \"none\"\n[allow]\nhttp = [\"{}\"]\n",
        receiver.url("/")
    );
    let node = Setup::new()
        .hook("hello", &guest("contract_cases"), &hook)
        .serving("hello")
        .await;
    let body = format!(r#"{{"case":"http-error","url":"{url}"}}"#);
    let secret = [
        ("x-some-signature", "of-the-sender"),
        ("content-type", "application/json"),
    ];
    node.post("/in/red?a=b", &secret, body.clone()).await;
    let id = stored(&node).await[0]["event"].as_str().unwrap().to_owned();

    let handler = Handler::new("contract_cases").hook(&hook);
    let output = save(&node, &handler, &[&id[..13], "--as", "real"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(handler.read("samples/real.json"), body);
    let case = handler.read("cases/real.toml");
    for part in [
        "path = \"/in/red\"",
        "query = \"a=b\"",
        "host = \"127.0.0.1:",
        "client-address = \"127.0.0.1\"",
        "status = 418",
        "[[expect.calls]]",
        "# Headers that the node does not show: x-some-signature.\n",
    ] {
        assert!(case.contains(part), "{part}: {case}");
    }
    assert!(
        !case.contains("of-the-sender") && !case.contains("of-the-handler"),
        "{case}"
    );

    let tested = handler.run(&["test"]);
    assert_eq!(
        code(&tested),
        Some(0),
        "{case}\n{}{}",
        stdout(&tested),
        stderr(&tested)
    );
    let again = save(&node, &handler, &[&id, "--as", "real"]);
    assert_eq!(code(&again), Some(1));
    assert!(
        stderr(&again).contains("choose another name with --as"),
        "{}",
        stderr(&again)
    );
}

#[tokio::test]
async fn failed_events_become_cases() {
    let node = Setup::new()
        .hook(
            "hello",
            &guest("traps"),
            "[verify]\nscheme = \"none\"\n[retry]\nattempts = 1\n",
        )
        .serving("hello")
        .await;
    node.post("/hello", &[], vec![0xff_u8, 0]).await;
    let id = stored(&node).await[0]["event"].as_str().unwrap().to_owned();
    let handler = Handler::new("traps");
    let output = save(&node, &handler, &[&id, "--as", "trap"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let body = std::fs::read(handler.path("samples/trap.bin")).unwrap();
    assert_eq!(body, [0xff, 0]);
    let case = handler.read("cases/trap.toml");
    assert!(
        case.contains("outcome = \"trap\"") && case.contains("traps.rs:7:5"),
        "{case}"
    );
    let tested = handler.run(&["test"]);
    assert_eq!(
        code(&tested),
        Some(0),
        "{case}\n{}{}",
        stdout(&tested),
        stderr(&tested)
    );
}

#[tokio::test]
async fn unknown_events_are_no_cases() {
    let node = Setup::new().start().await;
    let handler = Handler::new("traps");
    let output = save(&node, &handler, &["0197aaaa", "--as", "x"]);
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("404"), "{}", stderr(&output));
    assert!(!handler.path("cases/x.toml").exists());
}
