//! Who is told: the hooks of docs/WATCH.md, a hook that fails, is renamed, or does not exist yet, and nodes that take over.

use std::path::Path;

use landfall_tests::{Node, Receiver, Setup, bundled, eventually, guest, root};
use serde_json::Value;

use super::scene::{LOOK, MovedClock, OPEN, alarms, only_alarm, told, watched};

const ASYNC: &str = "mode = \"async\"\n";

/// The sample of docs/WATCH.md with this name, with this service in place of the real one, and one more setting.
fn sample(name: &str, service: &str, at: &str, setting: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/WATCH.md")).unwrap();
    let start = format!("```toml\n# {name}\n");
    let (_, after) = page.split_once(&start).expect("the sample is there");
    let (text, _) = after.split_once("```").expect("the sample ends");
    let text = text.replace(service, at);
    text.replace("[settings]\n", &format!("[settings]\n{setting}\n"))
}

/// A service that answers as told, and the bodies that it has received as JSON.
async fn bodies(service: &Receiver, count: usize) -> Vec<Value> {
    service.until_called(count).await;
    let got = service.got();
    assert_eq!(got.len(), count);
    for one in &got {
        assert_eq!(one.headers["authorization"], "Bearer token-of-the-service");
    }
    let bodies = got.iter().map(|one| serde_json::from_slice(&one.body));
    bodies.map(Result::unwrap).collect()
}

/// The alarms about `dead` go to Slack, those about `alerts` by mail.
fn with_samples(slack: &Receiver, mail: &Receiver) -> Setup {
    let (of_slack, of_mail) = (slack.url(""), mail.url(""));
    let url = format!("url = \"{of_slack}/api/chat.postMessage\"");
    let alerts = sample("alerts.toml", "https://slack.com", &of_slack, &url);
    let endpoint = format!("endpoint = \"{of_mail}\"");
    let service = "https://api.resend.com";
    let by_mail = sample("alerts-mail.toml", service, &of_mail, &endpoint);
    Setup::new()
        .hook("dead", &guest("rejects"), &format!("{ASYNC}{OPEN}"))
        .file("slack-notify.wasm", read(&bundled("slack-notify")))
        .file("email.wasm", read(&bundled("email")))
        .file(
            "alerts.toml",
            format!("{alerts}[watch]\nto = \"alerts-mail\"\n"),
        )
        .file("alerts-mail.toml", by_mail)
        .env("ALERTS_TOKEN", "token")
        .env("SLACK_TOKEN", "token-of-the-service")
        .env("RESEND_API_KEY", "token-of-the-service")
        .env("LANDFALL_WATCH_TO", "alerts")
        .env("LANDFALL_WATCH_LINK", "https://landfall.example.com")
        .env("LANDFALL_WATCH_INTERVAL", "100ms")
        .env("LANDFALL_WATCH_DISK", "false")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

async fn until_serving(node: &Node, hooks: &[&str]) {
    for hook in hooks {
        node.until(hook, "serving").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_and_mail_tell_people() {
    let (slack, mail) = (Receiver::start().await, Receiver::start().await);
    slack.say("{\"ok\":true,\"ts\":\"1\"}");
    mail.say("{\"id\":\"1\"}");
    let node = with_samples(&slack, &mail).serving("dead").await;
    until_serving(&node, &["alerts", "alerts-mail"]).await;
    assert_eq!(node.post("/dead", &[], "{}").await.0, 202);
    node.until_states("alerts", &["done"]).await;
    let opened = bodies(&slack, 1).await.remove(0);
    assert_eq!(opened["channel"], "C0123456789");
    let text = opened["text"].as_str().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "alarm.opened: dead: the hook has 1 dead letter, which Landfall does not run again"
    );
    assert_eq!(lines[2], "https://landfall.example.com/failures?hook=dead");

    // Slack refuses the next message for good: the dead letter of `alerts` is told by mail.
    slack.say("{\"ok\":false,\"error\":\"msg_too_long\"}");
    let mut command = node.command();
    command.args(["events", "discard", "--hook", "dead", "--reason", "known"]);
    let output = tokio::task::spawn_blocking(move || command.output());
    assert!(output.await.unwrap().unwrap().status.success());
    node.until_states("alerts", &["done", "dead"]).await;
    let closed = bodies(&slack, 2).await.remove(1);
    let text = closed["text"].as_str().unwrap();
    assert!(text.starts_with("alarm.closed: dead: "), "{text}");
    node.until_states("alerts-mail", &["done"]).await;
    let message = bodies(&mail, 1).await.remove(0);
    assert_eq!(message["to"], serde_json::json!(["ops@example.com"]));
    assert_eq!(message["subject"], "alarm.opened: dead_letters of alerts");
    let text = message["text"].as_str().unwrap();
    assert!(
        text.ends_with("https://landfall.example.com/failures?hook=alerts"),
        "{text}"
    );
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(slack.got().len(), 2);
    assert_eq!(mail.got().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_hooks_close_their_alarms() {
    let own = format!("{ASYNC}{OPEN}[watch]\nto = \"own\"\n");
    let setup = watched()
        .hook("own", &bundled("echo"), &format!("{ASYNC}{OPEN}"))
        .hook("dead", &guest("rejects"), &own);
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = setup.serving("dead").await;
    until_serving(&node, &["own", "alerts"]).await;
    assert_eq!(node.post("/dead", &[], "{}").await.0, 202);
    only_alarm(&node, "dead", "dead_letters").await;
    node.until_states("own", &["done"]).await;

    for end in ["toml", "wasm"] {
        let path = |name: &str| node.plugins().join(format!("{name}.{end}"));
        std::fs::rename(path("dead"), path("renamed")).unwrap();
    }
    node.until("renamed", "serving").await;
    clock.advance_until(&node, 0).await;
    node.until_states("own", &["done"; 2]).await;
    assert_eq!(node.deliveries("alerts").await.len(), 0);
    node.logged("the closed alarm", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("alarm closed: ") && line["hook"] == "dead"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_wait_for_their_receiver() {
    let rejects = format!("{ASYNC}{OPEN}");
    let node = watched()
        .hook("dead", &guest("rejects"), &rejects)
        .env("LANDFALL_WATCH_TO", "later")
        .serving("dead")
        .await;
    assert_eq!(node.post("/dead", &[], "{}").await.0, 202);
    only_alarm(&node, "dead", "dead_letters").await;
    node.until_log("the hook that [watch] names as the receiver of alarms does not exist")
        .await;

    // It waits also over a restart.
    let node = node.killed().serving("dead").await;
    for end in ["wasm", "toml"] {
        let path = |name: &str| node.plugins().join(format!("{name}.{end}"));
        std::fs::copy(path("alerts"), path("later")).unwrap();
    }
    node.until("later", "serving").await;
    node.until_states("later", &["done"]).await;
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(node.deliveries("later").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_wait_for_readable_rules() {
    let alerts = format!("{ASYNC}{OPEN}[redact]\njson = [\"/sentence\"]\n");
    let node = watched()
        .hook("dead", &guest("rejects"), &format!("{ASYNC}{OPEN}"))
        .file("alerts.toml", format!("{alerts}unknown =\n"))
        .serving("dead")
        .await;
    node.until("alerts", "unavailable").await;
    assert_eq!(node.post("/dead", &[], "{}").await.0, 202);
    node.until_log("an alarm cannot be told yet").await;
    assert!(node.deliveries("alerts").await.is_empty());

    node.put("alerts.toml", &alerts);
    let delivery = eventually("the alarm is told", || async {
        node.deliveries("alerts").await.first().cloned()
    })
    .await;
    let id = delivery["event"].as_str().unwrap();
    let shown = node.ask(&format!("/api/v1/events/{id}")).await;
    let text = shown["event"]["body"]["text"].as_str().unwrap();
    let body: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(body["sentence"], "[redacted]", "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_tell_nobody_twice() {
    let mut node = watched()
        .hook("dead", &guest("rejects"), &format!("{ASYNC}{OPEN}"))
        .env("FAILPOINTS", "alarm-told=return")
        .serving("dead")
        .await;
    until_serving(&node, &["alerts"]).await;
    assert_eq!(node.post("/dead", &[], "{}").await.0, 202);
    // The event is stored, and nothing says yet that it was.
    node.ended().await;

    let node = node.killed().env("FAILPOINTS", "").serving("dead").await;
    let opened = only_alarm(&node, "dead", "dead_letters").await;
    let events = told(&node, 1).await;
    assert_eq!(events[0]["since"], opened["since"]);
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(node.deliveries("alerts").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_watcher_is_replaced() {
    let rejects = format!("{ASYNC}{OPEN}");
    let setup = watched().hook("dead", &guest("rejects"), &rejects);
    let Some(setup) = setup.on_postgres() else {
        return;
    };
    let (mut one, two) = tokio::join!(setup.copy().serving("dead"), setup.copy().serving("dead"));
    for node in [&one, &two] {
        node.until("alerts", "serving").await;
    }
    assert_eq!(one.post("/dead", &[], "{}").await.0, 202);
    let opened = only_alarm(&two, "dead", "dead_letters").await;
    told(&two, 1).await;

    // The first node that stops may be the one that watches, or not. The second one is killed.
    one.terminate();
    one.ended().await;
    let three = setup.copy().serving("dead").await;
    three.until("alerts", "serving").await;
    drop(two);
    let mut command = three.command();
    command.args(["events", "discard", "--hook", "dead", "--reason", "known"]);
    let output = tokio::task::spawn_blocking(move || command.output());
    assert!(output.await.unwrap().unwrap().status.success());
    let both = told(&three, 2).await;
    assert_eq!(both[0]["since"], opened["since"]);
    assert_eq!(both[1]["type"], "alarm.closed");
    eventually("no alarm is open", || async {
        alarms(&three).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn emitted_events_end_no_silence() {
    let source = format!("{OPEN}[allow]\nemit = [\"orders\"]\n");
    let orders = format!("{ASYNC}{OPEN}[watch]\nexpect = \"1 per 1h\"\n");
    let setup = watched().hook("source", &guest("emits"), &source).hook(
        "orders",
        &bundled("echo"),
        &orders,
    );
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let Some(setup) = setup.on_postgres() else {
        return;
    };
    let node = setup.serving("orders").await;
    until_serving(&node, &["source", "alerts"]).await;
    assert_eq!(node.post("/orders", &[], "{}").await.0, 202);
    tokio::time::sleep(LOOK).await;
    // A busy node may miss a step.
    for _ in 0..100 {
        if !alarms(&node).await.is_empty() {
            break;
        }
        assert_eq!(node.post("/source", &[], "orders again").await.0, 200);
        clock.advance(5).await;
    }
    only_alarm(&node, "orders", "silence").await;
}
