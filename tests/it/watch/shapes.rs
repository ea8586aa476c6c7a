//! The alarm on events that differ from their shape.

use landfall_tests::{Node, Setup, bundled, event_id, eventually};
use serde_json::Value;

use super::scene::{LOOK, MovedClock, OPEN, alarms, is_over, is_told, page, told, watched};

const USUAL: &str = "{\"id\":1,\"user\":{\"name\":\"canary\"}}";
const HOUR: i64 = 60;

/// For a hook that anyone can call.
const SWITCH: &str = "[watch]\nshape = true\n";

/// The file of a hook whose shape is known after five events and an hour.
fn hook_file(tables: &str) -> String {
    format!("mode = \"async\"\n{OPEN}{tables}[shape]\nmin_events = 5\nmin_time = \"1h\"\n")
}

/// A node with the hook `orders`.
fn learning(tables: &str) -> Setup {
    watched()
        .hook("orders", &bundled("echo"), &hook_file(tables))
        .env("LANDFALL_SHAPE_INTERVAL", "100ms")
}

/// The node, and its clock, when the shape is known.
async fn known() -> Option<(MovedClock, Node)> {
    known_with(SWITCH).await
}

/// As `known`, with these tables in the hook file.
async fn known_with(tables: &str) -> Option<(MovedClock, Node)> {
    let (mut clock, setup) = MovedClock::of(learning(tables))?;
    let node = setup.serving("orders").await;
    node.until("alerts", "serving").await;
    for _ in 0..6 {
        post(&node, USUAL).await;
    }
    shape(&node, |one| {
        one["events"] == 6 && one["state"] == "learning"
    })
    .await;
    clock.advance(HOUR + 1).await;
    post(&node, USUAL).await;
    shape(&node, |one| one["state"] == "known").await;
    assert_eq!(alarms(&node).await, Vec::<Value>::new());
    Some((clock, node))
}

/// Sends an event; gives its id.
async fn post(node: &Node, body: &str) -> String {
    let answer = node.post("/orders", &[], body.to_owned()).await;
    assert_eq!(answer.0, 202, "{answer:?}");
    event_id(&answer)
}

/// The shape of the events of `orders`, once it is so.
async fn shape(node: &Node, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = "/api/v1/hooks/orders/shape";
    eventually(&format!("orders is learned\n{}", node.log()), || async {
        let answer = node.admin_get(path).send().await.unwrap();
        let shapes: Value = answer.json().await.unwrap();
        let one = shapes["types"][0].clone();
        (one.is_object() && is_so(&one)).then_some(one)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_are_told_once() {
    let Some((mut clock, node)) = known().await else {
        return;
    };
    let id = post(&node, "{\"id\":\"x\",\"user\":{\"name\":\"canary\"}}").await;
    let opened = is_told(&node, "orders", "shape").await;
    let expected = format!("/id is string, not integer; first in event {id}");
    assert_eq!(opened["sentence"], Value::from(expected));
    let hint = opened["hint"].as_str().unwrap();
    assert!(hint.starts_with("`landfall shape orders`"), "{opened}");
    assert_eq!(
        opened["link"],
        "https://landfall.example.com/shape?hook=orders"
    );
    assert!(!opened.to_string().contains("canary"), "{opened}");
    let shown = page(&node, "/shape?hook=orders").await;
    assert!(shown.contains("/id is string, not integer"), "{shown}");

    // The same again, others, and a restart tell nothing new.
    post(&node, "{\"id\":\"y\",\"new\":[]}").await;
    let found = shape(&node, |one| {
        one["differences"]
            .as_array()
            .is_some_and(|all| all.len() == 3)
    })
    .await;
    assert_eq!(found["differences"][0]["event"], Value::from(id));
    assert_eq!(found["differences"][0]["events"], 2);
    let node = node.killed().serving("orders").await;
    node.until("alerts", "serving").await;
    clock.advance(9).await;
    assert_eq!(told(&node, 1).await, std::slice::from_ref(&opened));

    let mut command = node.command();
    command.args(["shape", "orders", "--accept"]);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    is_over(&node, &opened).await;
    let audit = node.ask("/api/v1/audit?action=accept-shape").await;
    assert_eq!(audit["entries"][0]["hook"], "orders", "{audit}");

    // What was accepted is the shape.
    post(&node, "{\"id\":\"z\",\"new\":[]}").await;
    shape(&node, |one| one["events"].as_u64() >= Some(10)).await;
    tokio::time::sleep(LOOK).await;
    assert_eq!(alarms(&node).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_that_vanish_are_over() {
    let Some((mut clock, node)) = known().await else {
        return;
    };
    post(&node, "{\"id\":1}").await;
    let opened = is_told(&node, "orders", "shape").await;
    for _ in 0..20 {
        post(&node, USUAL).await;
    }
    shape(&node, |one| one["events"] == 28).await;
    assert_eq!(alarms(&node).await.len(), 1, "five minutes are not over");
    clock.advance(6).await;
    is_over(&node, &opened).await;
}

/// Differences are shown, but what anyone can send opens no alarm unless the hook file wants it.
#[tokio::test(flavor = "multi_thread")]
async fn open_hooks_need_the_switch() {
    let Some((_clock, node)) = known_with("").await else {
        return;
    };
    post(&node, "{\"id\":\"x\",\"user\":{\"name\":\"canary\"}}").await;
    let is_different = |one: &Value| {
        let differences = one["differences"].as_array();
        differences.is_some_and(|all| all.len() == 1)
    };
    shape(&node, is_different).await;
    tokio::time::sleep(LOOK).await;
    assert_eq!(alarms(&node).await, Vec::<Value>::new());

    node.put("orders.toml", hook_file(SWITCH).as_bytes());
    let opened = is_told(&node, "orders", "shape").await;
    let sentence = opened["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("/id is string, not integer"),
        "{opened}"
    );
}

/// Names of fields are by the sender: long and hidden ones neither fill nor command a terminal.
#[tokio::test(flavor = "multi_thread")]
async fn sentences_are_short_and_printable() {
    let Some((_clock, node)) = known().await else {
        return;
    };
    let name = format!("{}\\u001b[2J", "\u{202e}".repeat(25));
    let body = format!("{{\"id\":1,\"user\":{{\"name\":\"canary\",\"{name}\":1}}}}");
    post(&node, &body).await;
    let opened = is_told(&node, "orders", "shape").await;
    let sentence = opened["sentence"].as_str().unwrap();
    assert!(sentence.len() < 1_000, "{sentence}");
    assert!(sentence.starts_with("/user/\\u{202e}"), "{sentence}");
    assert!(
        sentence.contains("\\u{1b}[2J is new: integer; first in event "),
        "{sentence}"
    );
    let log = node.log();
    let mut lines = log.lines();
    let line = lines
        .find(|line| line.contains("differs from its shape"))
        .unwrap();
    assert!(!line.contains(['\u{202e}', '\u{1b}']), "{line:?}");
    assert!(line.contains("\\u{202e}"), "{line}");
}

/// Also if the file of the hook is only away for some minutes, for example while it is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn removed_hooks_lose_their_shapes() {
    let Some((mut clock, node)) = known().await else {
        return;
    };
    let file = std::fs::read(node.plugins().join("orders.toml")).unwrap();
    let component = node.plugins().join("orders.wasm");
    let bytes = std::fs::read(&component).unwrap();
    let remove = || {
        std::fs::remove_file(node.plugins().join("orders.toml")).unwrap();
        std::fs::remove_file(&component).unwrap();
    };
    let is_gone = || async {
        let hooks = node.ask("/api/v1/hooks").await;
        let hooks = hooks.as_array().unwrap();
        let is_there = hooks.iter().any(|one| one["name"] == "orders");
        (!is_there).then_some(())
    };
    let answers = async |status: u16| {
        eventually(&format!("{status}\n{}", node.log()), || async {
            let path = "/api/v1/hooks/orders/shape";
            let answer = node.admin_get(path).send().await.unwrap();
            (answer.status() == status).then_some(())
        })
        .await;
    };
    remove();
    eventually("the hook is gone", is_gone).await;
    for _ in 0..3 {
        clock.advance(9).await;
    }
    answers(200).await;
    node.put("orders.wasm", &bytes);
    node.put("orders.toml", &file);
    node.until("orders", "serving").await;
    answers(200).await;

    remove();
    eventually("the hook is gone", is_gone).await;
    // The node may not have noticed it before the first day.
    for _ in 0..100 {
        clock.advance(25 * HOUR).await;
        let answer = node.admin_get("/api/v1/hooks/orders/shape");
        if answer.send().await.unwrap().status() == 404 {
            return;
        }
    }
    panic!("the shapes are still there\n{}", node.log());
}
