//! The alarm on events that differ from their shape.

use landfall_tests::{Node, Setup, bundled, event_id, eventually};
use serde_json::Value;

use super::scene::{LOOK, MovedClock, OPEN, alarms, is_over, is_told, page, told, watched};

const USUAL: &str = "{\"id\":1,\"user\":{\"name\":\"canary\"}}";
const HOUR: i64 = 60;

/// A node with the hook `orders`, whose shape is known after five events and an hour.
fn learning() -> Setup {
    let file = format!("mode = \"async\"\n{OPEN}[shape]\nmin_events = 5\nmin_time = \"1h\"\n");
    watched()
        .hook("orders", &bundled("echo"), &file)
        .env("LANDFALL_SHAPE_INTERVAL", "100ms")
}

/// The node, and its clock, when the shape is known.
async fn known() -> Option<(MovedClock, Node)> {
    let (mut clock, setup) = MovedClock::of(learning())?;
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
