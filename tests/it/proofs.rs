//! The value by which a sender has proven itself, after its request was accepted: what the handler gets, what is stored, and what
//! readers see when the hook is gone or the node is stopped.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use landfall_ledger::{LedgerError, NewEvent, SqliteSettings};
use landfall_model::{Admission, Event, EventId, Retention, Stored};
use landfall_tests::{Node, Setup, event_id, eventually, guest, landfall};
use serde_json::Value;

const TOKEN: &str = "c4n4ry-9f3b7c";
const LONG_NUMBER: &str = "12345678901234567890";
/// The largest file that is searched. The reserve of disk space is larger, and empty.
const FILE_BYTES_MAX: u64 = 16 << 20;

fn hook(more: &str, from: &str) -> String {
    format!("{more}\n[verify]\nscheme = \"token\"\nsecret = \"env:CANARY\"\nfrom = {from}\n")
}

async fn node(component: &str, file: &str) -> Node {
    Setup::new()
        .env("CANARY", TOKEN)
        .hook("in", &guest(component), file)
        .serving("in")
        .await
}

/// What a command prints.
fn said(mut command: Command) -> String {
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn assert_nowhere(dir: &Path) {
    for entry in std::fs::read_dir(dir).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let metadata = path.metadata().expect("nothing changes the folder");
        if metadata.is_dir() {
            assert_nowhere(&path);
        } else if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX {
            let bytes = std::fs::read(&path).expect("the file can be read");
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(TOKEN), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn handlers_get_no_path_tokens() {
    let file = hook("path = \"/in/{key}/{rest...}\"", "{ param = \"key\" }");
    let node = node("inspect_event", &file).await;
    let repeated = format!("/in/{TOKEN}/a");
    let headers = [("x-forwarded-uri", repeated.as_str()), ("x-other", "kept")];
    let path = format!("/in/{TOKEN}/a/{TOKEN}?b=1&c={TOKEN}");
    let (status, text) = node.post(&path, &headers, "{}").await;
    assert_eq!(status, 200, "{text}");
    assert!(!text.contains(TOKEN), "{text}");
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen["event"]["path"], "/in/-/a/-");
    assert_eq!(seen["event"]["query"], "b=1");
    let flat = seen.to_string();
    assert!(
        flat.contains("kept") && flat.contains("param:rest"),
        "{flat}"
    );
    assert!(!flat.contains("param:key"), "{flat}");
    assert!(!node.log().contains(TOKEN), "{}", node.log());

    // A wrong token is refused as before.
    assert_eq!(node.post("/in/wrong/a", &[], "{}").await.0, 401);
}

#[tokio::test]
async fn path_tokens_are_not_stored() {
    let order = "path = \"/in/{key}\"\nmode = \"async\"\norder_by = { param = \"key\" }";
    let node = node("answers_one", &hook(order, "{ param = \"key\" }")).await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let id = event_id(&node.post(&format!("/in/{TOKEN}"), &[], "{}").await);
        let shown = node.ask(&format!("/api/v1/events/{id}")).await;
        assert_eq!(shown["event"]["path"], "/in/-");
        let attributes = shown["event"]["attributes"].as_array().unwrap();
        let key = attributes.iter().find(|pair| pair[0] == "order-key");
        keys.push(key.expect("the event has an order key")[1].clone());
    }
    assert_eq!(keys[0], keys[1], "events of one token keep their order");
    node.until_states("in", &["done"; 2]).await;
    let stopped = node.killed();
    assert_nowhere(&stopped.data());
}

#[tokio::test]
async fn gone_hooks_show_no_proof() {
    let node = node(
        "answers_one",
        &hook("mode = \"async\"", "{ json = \"/auth\" }"),
    )
    .await;
    let body = format!("{{\"auth\":\"{TOKEN}\",\"n\":{LONG_NUMBER}}}");
    let id = event_id(&node.post("/in", &[("x-event-copy", TOKEN)], body).await);
    node.until_states("in", &["done"]).await;
    for name in ["in.toml", "in.wasm"] {
        std::fs::remove_file(node.plugins().join(name)).expect("the file is there");
    }
    eventually("the hook is gone", || async {
        node.hook("in").await.is_none().then_some(())
    })
    .await;

    let shown = node.ask(&format!("/api/v1/events/{id}?whole=true")).await;
    assert_eq!(shown["event"]["body_masked"], true, "{shown}");
    let mut command = node.command();
    command.args(["events", "show", &id, "--body"]);
    let body = said(command);
    let found = node.ask(&format!("/api/v1/events?text={TOKEN}")).await;
    assert_eq!(found["events"].as_array().unwrap().len(), 0);

    let stopped = node.killed();
    let of_stopped = |arguments: &[&str]| {
        let mut command = Command::new(landfall());
        command.args(arguments).arg("--data").arg(stopped.data());
        said(command)
    };
    for (text, has_body) in [
        (shown.to_string(), true),
        (body, true),
        (of_stopped(&["events", "show", &id]), false),
        (of_stopped(&["events", "show", &id, "--json"]), true),
        (of_stopped(&["events", "show", &id, "--body"]), true),
    ] {
        assert!(!text.contains(TOKEN), "{text}");
        assert!(text.contains("(masked)"), "{text}");
        assert!(!has_body || text.contains(LONG_NUMBER), "{text}");
        // Where the proof was is for the host alone.
        assert!(!text.contains("/auth"), "{text}");
    }
}

#[tokio::test]
async fn changed_rules_show_no_proof() {
    let node = node(
        "answers_one",
        &hook("mode = \"async\"", "{ json = \"/auth\" }"),
    )
    .await;
    let body = format!("{{\"auth\":\"{TOKEN}\"}}");
    let id = event_id(&node.post("/in", &[], body).await);
    node.until_states("in", &["done"]).await;
    let file = hook("mode = \"async\"", "{ header = \"X-Token\" }");
    node.put("in.toml", file);
    eventually("the new rules apply", || async {
        let answer = node.post("/in", &[("x-token", TOKEN)], "{}").await;
        (answer.0 == 202).then_some(())
    })
    .await;

    let shown = node.ask(&format!("/api/v1/events/{id}")).await;
    assert_eq!(shown["event"]["body"]["text"], "{\"auth\":\"(masked)\"}");
    assert!(!shown.to_string().contains(TOKEN), "{shown}");
}

/// Stores an event as versions did that recorded no place of the proof. Returns its id.
async fn store_older_event(data: &Path) -> String {
    const DAY: Duration = Duration::from_secs(86_400);
    let retention = Retention {
        deliveries: DAY,
        bodies: DAY,
        max_size: u64::MAX,
    };
    let settings = SqliteSettings {
        min_free_space: 0,
        reserve: 0,
        retention,
        recover_with_data_loss: false,
    };
    std::fs::create_dir_all(data).expect("a writable folder");
    let now = SystemTime::now();
    let (ledger, _) = landfall_ledger::open(
        data,
        settings,
        now,
        Arc::new(|error: &LedgerError| panic!("{error}")),
    )
    .unwrap();

    let mut headers = http::HeaderMap::new();
    let copy = http::HeaderValue::from_static(TOKEN);
    headers.insert("x-event-copy", copy);
    let attributes = [("verified-by", "token#1"), ("verified-by-scheme", "token")];
    let event = Event {
        id: EventId::new(now),
        hook: "in".into(),
        received_at: now,
        method: http::Method::POST,
        path: "/in".into(),
        query: Some(format!("a=1&t={TOKEN}")),
        headers,
        body: format!("{{\"auth\":\"{TOKEN}\",\"n\":{LONG_NUMBER},\"ref\":\"main\"}}").into(),
        attributes: attributes
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    };
    let id = event.id.to_string();
    let new = NewEvent {
        stored: Stored::new(event),
        dedup: None,
        order_key: None,
        delay: Duration::ZERO,
        run_now: false,
        dead: None,
        admission: Admission::Run,
    };
    ledger.accept(new, Arc::default()).await.unwrap();
    ledger.close().await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn older_events_show_no_credentials() {
    let setup = Setup::new().env("CANARY", TOKEN);
    let id = store_older_event(&setup.data()).await;
    let of_stopped = |arguments: &[&str]| {
        let mut command = Command::new(landfall());
        command.args(arguments).arg("--data").arg(setup.data());
        said(command)
    };
    let stopped = [
        of_stopped(&["events", "show", &id]),
        of_stopped(&["events", "show", &id, "--json"]),
        of_stopped(&["events", "show", &id, "--body"]),
    ];

    // Its hook is gone.
    let node = setup.start().await;
    let path = format!("/api/v1/events/{id}?whole=true");
    let shown = node.ask(&path).await;
    let why = shown["event"]["masked_because"].as_str().unwrap();
    assert!(why.contains("looks like a credential"), "{why}");
    assert!(stopped[0].contains(why), "{}", stopped[0]);
    for text in stopped.iter().chain([&shown.to_string()]) {
        assert!(!text.contains(TOKEN), "{text}");
        assert!(text.contains("(masked)") && text.contains("main"), "{text}");
    }
    assert!(shown.to_string().contains(LONG_NUMBER), "{shown}");
    for search in [format!("text={TOKEN}"), format!("value=/auth={TOKEN}")] {
        let found = node.ask(&format!("/api/v1/events?{search}")).await;
        assert_eq!(found["events"].as_array().unwrap().len(), 0, "{search}");
    }

    // Its hook is there again with the rules that have accepted it, and then with others. Each set
    // of rules accepts a request that the one before it refuses.
    let component = std::fs::read(guest("answers_one")).unwrap();
    node.put("in.wasm", component);
    let (open, asynchronous) = ("[verify]\nscheme = \"none\"\n", "mode = \"async\"\n");
    let in_body = format!("{{\"auth\":\"{TOKEN}\"}}");
    let in_header = [("x-token", TOKEN)];
    let rules = [
        (
            hook(asynchronous, "{ json = \"/auth\" }"),
            &in_header[..0],
            in_body.as_str(),
        ),
        (
            hook(asynchronous, "{ header = \"X-Token\" }"),
            &in_header,
            "{}",
        ),
        (format!("{asynchronous}{open}"), &in_header[..0], "{}"),
    ];
    for (file, headers, body) in rules {
        node.put("in.toml", file);
        eventually("the rules apply", || async {
            let shown = node.ask(&path).await;
            assert!(!shown.to_string().contains(TOKEN), "{shown}");
            let answer = node.post("/in", headers, body.to_owned()).await;
            (answer.0 == 202).then_some(())
        })
        .await;

        let shown = node.ask(&path).await;
        assert!(!shown.to_string().contains(TOKEN), "{shown}");
        assert_eq!(
            shown["event"]["masked_because"].as_str(),
            Some(why),
            "{shown}"
        );
    }
}
