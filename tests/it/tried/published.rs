//! `landfall try --publish`: the node keeps the report, and the API shows it.

use std::process::Command;
use std::sync::Arc;

use landfall_tests::{Node, Receiver, Setup, event_id, guest, landfall};
use serde_json::{Value, json};

use super::{OPEN, order, shop, shop_file, try_component, until_recorded};

const CANARY: &str = "canary-of-the-published-try";
const READ_TOKEN: &str = "a-read-token-of-32-characters-00";
const LIST: &str = "/api/v1/hooks/shop/tries";

/// Sends a report to the API. Status and answer.
async fn publish(node: &Node, hook: &str, token: &str, report: &Value) -> (u16, Value) {
    let url = format!("http://{}/api/v1/hooks/{hook}/publish-try", node.admin);
    let request = node.client.post(url).bearer_auth(token).json(report);
    let answer = request.send().await.expect("the node answers");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

/// A report on the hook, in which one attempt was the same.
fn report(hook: &str) -> Value {
    json!({
        "hook": hook, "component": "next.wasm", "digest": "0a".repeat(32), "attempts": 1, "same": 1, "allowed": 0,
        "differs": 0, "unanswered": 0, "truncated": 0, "not_run": {}, "groups": [],
    })
}

/// A group whose sample is of this event.
fn group(event: &str, found: &str) -> Value {
    json!({
        "kind": "reply", "place": "body/total", "attempts": 1, "allowed": true, "follows": false,
        "sample": { "event": event, "delivery": 1, "attempt": 1, "masked": false, "recorded": "1", "found": found },
    })
}

/// The newest report of the hook `shop`, and its id.
async fn newest(node: &Node) -> (Value, String) {
    let listed = node.ask(LIST).await;
    let id = listed["tries"][0]["id"].as_str().unwrap_or_default();
    let shown = node.ask(&format!("{LIST}/{id}")).await;
    (shown, id.to_owned())
}

fn group_of<'a>(shown: &'a Value, kind: &str) -> Option<&'a Value> {
    let groups = shown["groups"].as_array().expect("groups");
    groups.iter().find(|group| group["kind"] == kind)
}

#[tokio::test]
async fn published_reports_are_shown() {
    let (node, _receiver) = shop("mode = \"sync\"\n[record]\nrate = 1.0\n").await;
    order(&node, 300..305).await;
    until_recorded(&node, "shop", 5).await;

    let next = guest("shop_next");
    let output = try_component(&node, &next, &["--hook", "shop", "--publish"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let (shown, id) = newest(&node).await;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = format!("published: /tries/shop/{id} of the dashboard");
    assert!(text.contains(&said), "{text}");

    let summary = &shown["summary"];
    let name = next.file_name().unwrap().to_str().unwrap();
    for (key, expected) in [
        ("component", json!(name)),
        ("role", json!("operate")),
        ("attempts", json!(5)),
        ("same", json!(4)),
        ("differs", json!(1)),
        ("is_same", json!(false)),
    ] {
        assert_eq!(summary[key], expected, "{key}: {shown}");
    }
    let rows = group_of(&shown, "rows").unwrap_or_else(|| panic!("{shown}"));
    let sample = &rows["sample"];
    assert_eq!(
        (&rows["place"], &sample["recorded"], &sample["found"]),
        (&json!("orders/note"), &json!("(absent)"), &json!("new"))
    );

    // The audit record has the counts, and nothing of an event.
    let audit = node.ask("/api/v1/audit?action=publish-try").await;
    let entry = &audit["entries"][0];
    assert_eq!(
        (&entry["hook"], &entry["detail"]["differs"]),
        (&json!("shop"), &json!(1)),
        "{audit}"
    );
    assert!(!audit.to_string().contains("orders/note"), "{audit}");

    // What is erased of an event is erased of its samples.
    let event = sample["event"].as_str().unwrap();
    let erased = node
        .order("/api/v1/erase", json!({ "events": [event] }))
        .await;
    assert_eq!(erased["events"], 1, "{erased}");
    let (left, same_id) = newest(&node).await;
    assert_eq!((same_id, group_of(&left, "rows")), (id, None), "{left}");
}

#[tokio::test]
async fn readers_cannot_publish() {
    let receiver = Receiver::start().await;
    receiver.say("{\"charge\":\"ch_1\"}");
    let top = "mode = \"sync\"\n[record]\nrate = 1.0\n";
    let node = Setup::new()
        .env("READ_TOKEN", READ_TOKEN)
        .env("LANDFALL_ADMIN_READ_TOKEN", "env:READ_TOKEN")
        .hook(
            "shop",
            &guest("shop"),
            &shop_file(top, &receiver.url("/charge")),
        )
        .serving("shop")
        .await;
    let node = Arc::new(node);
    order(&node, 0..3).await;
    until_recorded(&node, "shop", 3).await;

    let dir = tempfile::tempdir().unwrap();
    let mut command = node.command();
    command
        .arg("try")
        .arg(guest("shop"))
        .arg("--plugins")
        .arg(node.plugins())
        .args(["--hook", "shop", "--publish"])
        .current_dir(dir.path())
        .env("READ_TOKEN", READ_TOKEN)
        .env("LANDFALL_ADMIN_TOKEN", "env:READ_TOKEN");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("3 attempts of hook shop"), "{said}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the report is not published"), "{said}");
    assert_eq!(node.ask(LIST).await["tries"], json!([]));

    let (found, code) = super::report(&node, &guest("shop"), &["--hook", "shop", "--publish"]);
    let (shown, id) = newest(&node).await;
    assert_eq!(
        (&found["published"], code),
        (&json!(id), Some(0)),
        "{found}"
    );
    assert_eq!(shown["summary"]["is_same"], true, "{shown}");
}

/// The ledger of a stopped node takes a report, too.
#[tokio::test]
async fn stopped_nodes_keep_reports() {
    let (node, _receiver) = shop("mode = \"sync\"\n[record]\nrate = 1.0\n").await;
    order(&node, 300..305).await;
    until_recorded(&node, "shop", 5).await;
    let node = Arc::into_inner(node).expect("nobody else has the node");
    let stopped = node.killed();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(landfall())
        .arg("try")
        .arg(guest("shop_next"))
        .args(["--hook", "shop", "--publish", "--json", "--plugins"])
        .arg(stopped.plugins())
        .arg("--data")
        .arg(stopped.data())
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();

    let node = stopped.serving("shop").await;
    let (shown, id) = newest(&node).await;
    assert_eq!(found["published"], json!(id), "{found}");
    assert_eq!(shown["summary"]["role"], "local", "{shown}");
    assert!(group_of(&shown, "rows").is_some(), "{shown}");
}

#[tokio::test]
async fn published_samples_have_no_secret() {
    let receiver = Receiver::start().await;
    receiver.say("{\"charge\":\"ch_1\"}");
    let file = shop_file(
        "mode = \"sync\"\n[record]\nrate = 1.0\n",
        &receiver.url("/charge"),
    );
    let node = Setup::new()
        .env("SHOP_KEY", CANARY)
        .hook(
            "shop",
            &guest("shop"),
            &format!("{file}[environment]\nSHOP_KEY = \"env:SHOP_KEY\"\n"),
        )
        .serving("shop")
        .await;
    let node = Arc::new(node);
    order(&node, 202..203).await;
    until_recorded(&node, "shop", 1).await;

    try_component(&node, &guest("shop_next"), &["--hook", "shop", "--publish"]);
    let (shown, _) = newest(&node).await;
    let call = group_of(&shown, "unanswered_call").unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(call["sample"]["masked"], true, "{shown}");
    let text = shown.to_string();
    assert!(
        text.contains("paid with [redacted]") && !text.contains(CANARY),
        "{shown}"
    );
}

#[tokio::test]
async fn wrong_reports_are_refused() {
    let node = Setup::new()
        .env("READ_TOKEN", READ_TOKEN)
        .env("LANDFALL_ADMIN_READ_TOKEN", "env:READ_TOKEN")
        .hook("shop", &guest("answers_one"), OPEN)
        .hook("other", &guest("answers_one"), OPEN)
        .serving("shop")
        .await;
    node.until("other", "serving").await;
    let operator = node.admin_token();
    let token = operator.as_str();

    let mut unknown_key = report("shop");
    unknown_key["canary"] = json!(1);
    let mut large = report("shop");
    let event = "0190f3c1-8a5e-7000-8000-0123456789ab";
    large["groups"] = json!([group(event, &"x".repeat(600 << 10))]);
    for (hook, token, report, status, why) in [
        ("absent", token, report("absent"), 404, "there is no hook"),
        ("other", token, report("shop"), 400, "of hook `shop`"),
        ("shop", READ_TOKEN, report("shop"), 403, ""),
        ("shop", "wrong", report("shop"), 401, ""),
        ("shop", token, unknown_key, 400, "canary"),
        ("shop", token, large, 413, "512 KiB"),
        ("shop", token, json!({}), 400, "hook"),
    ] {
        let (found, answer) = publish(&node, hook, token, &report).await;
        assert_eq!(found, status, "{hook} {why}: {answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(node.ask(LIST).await["tries"], json!([]));

    // The report of one hook is none of another one.
    let (_, published) = publish(&node, "shop", token, &report("shop")).await;
    let id = published["id"].as_str().unwrap();
    for path in [
        "/api/v1/hooks/absent/tries".to_owned(),
        format!("/api/v1/hooks/other/tries/{id}"),
        format!("{LIST}/{event}"),
        format!("{LIST}/x"),
    ] {
        let answer = node.admin_get(&path).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn newest_reports_are_kept() {
    let node = Setup::new()
        .hook(
            "shop",
            &guest("answers_one"),
            &format!("mode = \"async\"\n{OPEN}"),
        )
        .hook("other", &guest("answers_one"), OPEN)
        .serving("shop")
        .await;
    node.until("other", "serving").await;
    let token = node.admin_token();
    let event = event_id(&node.post("/shop", &[], "{}").await);
    node.until_states("shop", &["done"]).await;

    // Samples of events that are no events of the hook are left out.
    let mut first = report("shop");
    let unknown = "0190f3c1-8a5e-7000-8000-0123456789ab";
    first["groups"] = json!([group(&event, "2"), group(unknown, "2")]);
    let (status, answer) = publish(&node, "shop", &token, &first).await;
    assert_eq!((status, &answer["groups"]), (200, &json!(1)), "{answer}");
    let mut foreign = first.clone();
    foreign["hook"] = json!("other");
    let (_, answer) = publish(&node, "other", &token, &foreign).await;
    assert_eq!(answer["groups"], 0, "{answer}");

    for number in 0..22 {
        let mut next = report("shop");
        next["component"] = json!(format!("{number}.wasm"));
        let (status, answer) = publish(&node, "shop", &token, &next).await;
        assert_eq!(status, 200, "{answer}");
    }
    let listed = node.ask(LIST).await;
    let tries = listed["tries"].as_array().unwrap();
    assert_eq!(tries.len(), 20, "{listed}");
    let is_first = |one: &Value| one["component"] == "next.wasm";
    assert!(!tries.iter().any(is_first), "{listed}");
    assert!(
        tries.iter().any(|one| one["component"] == "21.wasm"),
        "{listed}"
    );
    let others = node.ask("/api/v1/hooks/other/tries").await;
    assert_eq!(others["tries"].as_array().unwrap().len(), 1, "{others}");
}
