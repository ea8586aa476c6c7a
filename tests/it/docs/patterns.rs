//! docs/handlers/patterns.md: its samples are the components `pattern_*` of tests/guests, and do what the page says.

use landfall_tests::{Node, Receiver, Setup, bundled, guest, root};
use serde_json::{Value, json};

use super::{read, samples};

const PAGE: &str = "docs/handlers/patterns.md";
const OPEN: &str = "[verify]\nscheme = \"none\"\n";

#[test]
fn samples_are_the_tested_components() {
    let sources = std::fs::read_dir(root().join("tests/guests/examples")).unwrap();
    let mut components: Vec<String> = sources
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("/pattern_"))
        .map(|path| read(&path))
        .collect();
    let mut shown: Vec<String> = samples(&root().join(PAGE))
        .into_iter()
        .filter(|sample| sample.language == "rust")
        .map(|sample| sample.text)
        .collect();
    components.sort();
    shown.sort();
    assert_eq!(components.len(), 4);
    assert!(
        shown == components,
        "{PAGE} differs from tests/guests/examples/pattern_*.rs"
    );
}

async fn post(node: &Node, hook: &str, body: Value) {
    let answer = node.post(&format!("/{hook}"), &[], body.to_string()).await;
    assert!((200..300).contains(&answer.0), "{answer:?}\n{}", node.log());
}

#[tokio::test]
async fn parts_become_events_once() {
    let split = format!("{OPEN}[allow]\nemit = [\"pack\"]\n");
    let node = Setup::new()
        .hook("split", &guest("pattern_parts"), &split)
        .hook("pack", &bundled("echo"), OPEN)
        .start()
        .await;
    node.until("pack", "serving").await;
    node.until("split", "serving").await;

    let items = [
        json!({"sku": "a", "quantity": 1}),
        json!({"sku": "b", "quantity": 2}),
    ];
    let order = json!({"id": "7", "items": items});
    post(&node, "split", order.clone()).await;
    node.until_states("pack", &["done", "done"]).await;
    post(&node, "split", order).await;
    node.settle().await;
    assert_eq!(
        node.deliveries("pack").await.len(),
        2,
        "the keys are the same"
    );
}

#[tokio::test]
async fn older_versions_change_nothing() {
    let file = format!("{OPEN}[allow]\nkv = true\ntable = [\"prices\"]\n");
    let node = Setup::new()
        .hook("newest", &guest("pattern_latest"), &file)
        .serving("newest")
        .await;
    for (version, price) in [(2, "20"), (1, "10"), (2, "20"), (3, "30")] {
        let product = json!({"id": "p", "version": version, "price": price});
        post(&node, "newest", product).await;
    }
    let prices: Vec<Value> = node
        .rows("newest", "prices")
        .await
        .iter()
        .map(|row| row["row"]["price"].clone())
        .collect();
    assert_eq!(prices, ["20", "30"]);
    node.until_log("version 1 of p is not newer").await;
}

#[tokio::test]
async fn commands_are_answered_at_once() {
    let receiver = Receiver::start().await;
    let url = receiver.url("/result");
    let file = format!(
        "mode = \"async\"\n{OPEN}[settings]\nurl = \"{url}\"\n[allow]\nhttp = [\"{url}\"]\n"
    );
    let node = Setup::new()
        .hook("command", &guest("pattern_quick"), &file)
        .serving("command")
        .await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let (status, body) = node.post("/command", &form, "text=deploy").await;
    assert_eq!(
        (status, body.contains("Working on it")),
        (200, true),
        "{body}"
    );
    receiver.until_called(1).await;
    let sent = String::from_utf8(receiver.got()[0].body.to_vec()).unwrap();
    assert_eq!(sent, "{\"text\":\"deploy is done\"}");
}

#[tokio::test]
async fn accounts_are_told_once_a_day() {
    let file = format!("{OPEN}[allow]\nkv = true\nemit = [\"notify\"]\n");
    let node = Setup::new()
        .hook("alerts", &guest("pattern_daily"), &file)
        .hook("notify", &bundled("echo"), OPEN)
        .start()
        .await;
    node.until("notify", "serving").await;
    node.until("alerts", "serving").await;
    for account in ["a", "a", "b", "a"] {
        post(&node, "alerts", json!({"account": account})).await;
    }
    node.until_states("notify", &["done", "done"]).await;
    node.settle().await;
    assert_eq!(node.deliveries("notify").await.len(), 2);
}
