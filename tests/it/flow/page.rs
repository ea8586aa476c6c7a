//! The example of docs/FLOW.md, as it is written there.

use landfall_tests::{Setup, bundled, eventually, root};
use serde_json::json;

use crate::docs::samples;

#[tokio::test]
async fn the_example_runs() {
    let page = samples(&root().join("docs/FLOW.md"));
    let example = page
        .iter()
        .find(|sample| sample.text.starts_with("# orders.toml\n"))
        .expect("the page has the hook file");
    let node = Setup::new()
        .file("store.wasm", std::fs::read(bundled("store")).unwrap())
        .file("orders.toml", &example.text)
        .env("ORDERS_LOGIN", "user:password")
        .serving("orders")
        .await;
    // Paused, so that a slow machine closes no group between two events.
    node.order("/api/v1/hooks/orders/pause", json!({})).await;
    let login = ("authorization", "Basic dXNlcjpwYXNzd29yZA==");
    for (kind, id, total) in [
        ("order.created", 1, 10),
        ("order.changed", 1, 20),
        ("customer.created", 7, 0),
        ("order.created", 2, 30),
    ] {
        let body = json!({ "type": kind, "order": { "id": id, "total": total } });
        let answer = node.post("/orders", &[login], body.to_string()).await;
        assert_eq!(answer.0, 202, "{answer:?}");
    }

    eventually("both groups are due", || async {
        let open = node.events("hook=orders&state=waiting").await;
        let are_due = open.iter().all(|one| one["due_in_ms"] == 0);
        (open.len() == 2 && are_due).then_some(())
    })
    .await;
    node.order("/api/v1/hooks/orders/resume", json!({})).await;
    let states = ["superseded", "done", "filtered", "done"];
    node.until_states("orders", &states).await;
    let row = eventually("the batch is stored", || async {
        node.all_rows("orders", "orders").await.pop()
    })
    .await;
    let expected = json!([{ "id": 1, "total": 20 }, { "id": 2, "total": 30 }]);
    assert_eq!(row["orders"], expected);

    // The page shows the event that the handler of the batch receives.
    let event = page
        .iter()
        .find(|sample| sample.language == "json")
        .expect("the page shows the body of a batch");
    let event: serde_json::Value = serde_json::from_str(&event.text).unwrap();
    let member = event["batch"][0].as_object().unwrap();
    let keys: Vec<&str> = member.keys().map(String::as_str).collect();
    let expected = [
        "attributes",
        "delivery_id",
        "event_type",
        "headers",
        "id",
        "json",
        "method",
        "path",
        "provider",
        "query",
        "received_at",
    ];
    assert_eq!(keys, expected);
}
