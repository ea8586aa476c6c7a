//! Secrets in the path of a URL (`[[credentials]]` with `path`), as incoming webhooks of Slack and Discord have them: the receiver sees
//! the secret in the path, and it is nowhere else.

use std::path::{Path, PathBuf};

use landfall_tests::receiver::Got;
use landfall_tests::{Node, Receiver, Setup, bundled, event_id, guest};
use serde_json::{Value, json};

/// What follows `/services/` in the URL.
const SECRET: &str = "T0PATH123/B0PATH456/canary-in-the-path";
/// Parts that no text may have. The first one is also in the whole secret.
const CANARIES: [&str; 3] = ["canary-in-the-path", "T0PATH123", "B0PATH456"];
/// The largest file that is searched. The reserve of disk space is larger, and empty.
const FILE_BYTES_MAX: u64 = 16 << 20;
const ONCE: &str = "[verify]\nscheme = \"none\"\n[retry]\nattempts = 1\n";

/// A hook file with these settings, whose calls below `/services/` of the receiver get the secret.
fn hook(mode: &str, receiver: &Receiver, settings: &str, allow: &str) -> String {
    let at = receiver.url("/services/");
    let settings = settings.replace("@AT@", &at);
    format!(
        "mode = \"{mode}\"\n{ONCE}[settings]\n{settings}\n[allow]\nhttp = [\"{at}\"{allow}]\n\
         [[credentials]]\nfor = \"{at}\"\npath = \"SECRET\"\nvalue = \"${{env:HOOK_PATH}}\"\n"
    )
}

/// Fails if a text has a part of the secret.
fn assert_clean(what: &str, text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{what} has {canary}:\n{text}");
    }
}

/// Everything that an operator can read of a node: its log, metrics, hooks, events and files.
async fn assert_no_secret(node: &Node, event: &str) {
    assert_clean("the log", &node.log());
    assert_clean("/metrics", &node.metrics().await);
    assert_clean("/api/v1/hooks", &json!(node.hooks().await).to_string());
    for path in [
        "/api/v1/events?limit=100",
        &format!("/api/v1/events/{event}"),
    ] {
        assert_clean(path, &node.ask(path).await.to_string());
    }
    for arguments in [
        &["events", "show", event][..],
        &["events", "show", event, "--json"],
        &["events", "list"],
        &["hooks"],
    ] {
        let output = node.command().args(arguments).output();
        let output = output.expect("the binary starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let said = [output.stdout, output.stderr].concat();
        assert_clean(&arguments.join(" "), &String::from_utf8_lossy(&said));
    }
    for file in files(&node.data()) {
        // A file of the ledger may be gone.
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert_clean(
            &file.display().to_string(),
            &String::from_utf8_lossy(&bytes),
        );
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            found.extend(files(&entry.path()));
        } else if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX {
            found.push(entry.path());
        }
    }
    found
}

/// The path has the secret. No other part of the request has it.
fn assert_in_path(got: &Got, path: &str) {
    assert_eq!(got.path, path);
    assert_clean("a header", &format!("{:?}", got.headers));
    assert_clean("the body", &String::from_utf8_lossy(&got.body));
}

#[tokio::test]
async fn only_the_path_has_the_secret() {
    let receiver = Receiver::start().await;
    let node = Setup::new()
        .env("HOOK_PATH", SECRET)
        .env("LANDFALL_LOG_LEVEL", "trace")
        .hook(
            "out",
            &bundled("forward"),
            &hook("async", &receiver, "targets = [\"@AT@SECRET\"]", ""),
        )
        .serving("out")
        .await;

    let event = event_id(&node.post("/out", &[], "{}").await);
    node.until_states("out", &["done"]).await;
    assert_in_path(&receiver.got()[0], &format!("/services/{SECRET}"));
    assert_no_secret(&node, &event).await;

    // A receiver that repeats the secret, whole and in parts.
    receiver.answer(410);
    let encoded = SECRET.replace('/', "%2F");
    receiver.say(&format!(
        "{{\"path\":\"/services/{SECRET}\",\"url\":\"{encoded}\",\"token\":\"x\",\"last\":\"{}\"}}",
        CANARIES[0]
    ));
    let event = event_id(&node.post("/out", &[], "{}").await);
    node.until_states("out", &["done", "dead"]).await;
    assert_no_secret(&node, &event).await;
    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    let call = &shown["attempts"][0]["record"]["calls"][0];
    assert_eq!(call["url"], receiver.url("/services/SECRET"), "{shown}");
    assert_eq!(call["status"], 410, "{shown}");
    let answer = call["answer"].as_str().expect("it is recorded");
    assert!(answer.contains("/services/[redacted]"), "{answer}");
}

#[tokio::test]
async fn lost_connections_tell_no_secret() {
    let receiver = Receiver::start().await;
    // Nothing listens at this port.
    let at = "http://127.0.0.1:9/services/";
    let file = hook("async", &receiver, "targets = [\"@AT@SECRET\"]", "");
    let file = file.replace(&receiver.url("/services/"), at);
    let node = Setup::new()
        .env("HOOK_PATH", SECRET)
        .env("LANDFALL_LOG_LEVEL", "trace")
        .hook("out", &bundled("forward"), &file)
        .serving("out")
        .await;

    let event = event_id(&node.post("/out", &[], "{}").await);
    node.until_states("out", &["dead"]).await;
    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    let call = &shown["attempts"][0]["record"]["calls"][0];
    assert_eq!(call["error"], "unreachable", "{shown}");
    assert_no_secret(&node, &event).await;
}

#[tokio::test]
async fn redirects_elsewhere_carry_no_secret() {
    let (first, other) = (Receiver::start().await, Receiver::start().await);
    let allow = format!(", \"{}\"", other.url("/"));
    let file = hook("sync", &first, "url = \"@AT@SECRET\"", &allow);
    let followed = file.replace("[allow]\n", "[allow]\nredirects = 1\n");
    let node = Setup::new()
        .env("HOOK_PATH", SECRET)
        .hook("calls", &guest("calls"), &file)
        .hook("follows", &guest("calls"), &followed)
        .serving("calls")
        .await;
    node.until("follows", "serving").await;

    // The placeholder is a word like any other elsewhere, and a secret that a location repeats is removed.
    for (location, arrives) in [
        (other.url("/services/SECRET"), "/services/SECRET"),
        (
            other.url(&format!("/from?last={}", CANARIES[0])),
            "/from?last=[redacted]",
        ),
    ] {
        redirected(&node, &first, &location).await;
        let got = other.got().pop().expect("the redirect is followed");
        assert_clean("the other receiver", &format!("{got:?}"));
        assert_eq!(got.path, arrives);
    }

    // A place without the part that was removed does not exist.
    let followed = other.got().len();
    let answer = redirected(&node, &first, &other.url(&format!("/from/{SECRET}"))).await;
    assert_eq!(answer["status"], 307, "{answer}");
    assert_eq!(other.got().len(), followed);
    let path = format!("/services/{SECRET}");
    assert!(first.got().iter().all(|got| got.path == path));
    assert_clean("the log", &node.log());
}

/// Redirects the calls of both hooks there, and returns what the hook that follows redirects answers.
async fn redirected(node: &Node, receiver: &Receiver, location: &str) -> Value {
    receiver.redirect(location);
    let mut answer = Value::Null;
    for path in ["/calls", "/follows"] {
        let (status, text) = node.post(path, &[], "").await;
        assert_eq!(status, 200, "{text}");
        assert_clean("the answer", &text);
        answer = serde_json::from_str(&text).expect("the guest answers JSON");
    }
    answer
}

#[tokio::test]
async fn missing_secrets_send_no_call() {
    let receiver = Receiver::start().await;
    let file = hook("sync", &receiver, "url = \"@AT@SECRET\"", "");
    let node = Setup::new()
        .hook("calls", &guest("calls"), &file)
        .serving("calls")
        .await;

    let status = node.until("calls", "serving").await;
    let problem = status["problem"].as_str().expect("the hook has a problem");
    let url = receiver.url("/services/");
    assert!(
        problem.contains(&format!("calls to {url} are not made")) && problem.contains("HOOK_PATH"),
        "{problem}"
    );
    assert_unavailable(&node.post("/calls", &[], "").await);
    assert_eq!(receiver.got().len(), 0);
}

#[tokio::test]
async fn unusable_secrets_send_no_call() {
    let receiver = Receiver::start().await;
    let mut setup = Setup::new();
    // Values that would lead out of their segment.
    let values = [
        ("up", "canary-in-the-path/../../admin"),
        ("query", "canary-in-the-path?to=elsewhere"),
        ("encoded", "canary-in-the-path%2F.."),
        ("empty", "/"),
    ];
    for (name, value) in values {
        let variable = format!("PATH_OF_{}", name.to_uppercase());
        let file = hook("sync", &receiver, "url = \"@AT@SECRET\"", "");
        let file = file.replace("HOOK_PATH", &variable);
        setup = setup
            .env(&variable, value)
            .hook(name, &guest("calls"), &file);
    }
    let twice = hook("sync", &receiver, "url = \"@AT@SECRET/SECRET\"", "");
    let node = setup
        .env("HOOK_PATH", SECRET)
        .hook("twice", &guest("calls"), &twice)
        .serving("twice")
        .await;

    for (name, _) in values {
        node.until(name, "serving").await;
        assert_unavailable(&node.post(&format!("/{name}"), &[], "").await);
    }
    node.until_log("a credential cannot be used: its value is not a path")
        .await;
    assert_unavailable(&node.post("/twice", &[], "").await);
    node.until_log("the placeholder occurs more than once in the path")
        .await;
    assert_eq!(receiver.got().len(), 0);
    assert_clean("the log", &node.log());
}

/// The component learns that there was no call, and not which secret is wrong.
fn assert_unavailable(answer: &(u16, String)) {
    assert_eq!(answer.0, 200, "{answer:?}");
    let told: Value = serde_json::from_str(&answer.1).expect("the guest answers JSON");
    assert_eq!(told["error"], "unavailable", "{told}");
    let text = told["text"].as_str().expect("a sentence");
    assert!(text.contains("the log of the node says why"), "{text}");
    assert!(!text.contains("PATH"), "{text}");
    assert_clean("the answer", text);
}

/// The bundled handlers `slack` and `discord`, which post this text to the secret URL of the receiver.
async fn slack_and_discord(receiver: &Receiver, text: &str) -> Node {
    let settings = format!("url = \"@AT@SECRET\"\ntext = \"{text}\"");
    let file = hook("async", receiver, &settings, "");
    let node = Setup::new()
        .env("HOOK_PATH", SECRET)
        .hook("slack", &bundled("slack-notify"), &file)
        .hook("discord", &bundled("discord-notify"), &file)
        .serving("slack")
        .await;
    node.until("discord", "serving").await;
    node
}

#[tokio::test]
async fn slack_and_discord_post_there() {
    let receiver = Receiver::start().await;
    receiver.say("{\"id\": \"9\"}");
    let node = slack_and_discord(&receiver, "{{ event.json.who }} pushed").await;

    let sent = format!("/services/{SECRET}");
    let waits = format!("{sent}?wait=true");
    for (name, path, field) in [("slack", &sent, "text"), ("discord", &waits, "content")] {
        receiver.answer(200);
        let body = json!({ "who": "Mona" }).to_string();
        let event = event_id(&node.post(&format!("/{name}"), &[], body.clone()).await);
        node.until_states(name, &["done"]).await;
        let got = receiver.got().pop().expect("it was called");
        assert_in_path(&got, path);
        let message: Value = serde_json::from_slice(&got.body).expect("JSON");
        assert_eq!(message[field], "Mona pushed");
        assert_no_secret(&node, &event).await;

        // The service says that the webhook is gone.
        receiver.answer(404);
        let event = event_id(&node.post(&format!("/{name}"), &[], body).await);
        node.until_states(name, &["done", "dead"]).await;
        assert_no_secret(&node, &event).await;
    }
}

#[tokio::test]
async fn services_that_repeat_are_redacted() {
    let receiver = Receiver::start().await;
    receiver.answer(404);
    let node = slack_and_discord(&receiver, "hi").await;

    receiver.say(&format!("no_service: /services/{SECRET}"));
    let event = event_id(&node.post("/slack", &[], "{}").await);
    node.until_states("slack", &["dead"]).await;
    assert_no_secret(&node, &event).await;
    receiver.say(&format!(
        "{{\"code\": 10015, \"message\": \"Unknown webhook {}\"}}",
        CANARIES[0]
    ));
    let event = event_id(&node.post("/discord", &[], "{}").await);
    node.until_states("discord", &["dead"]).await;
    assert_no_secret(&node, &event).await;
    let reason = &node.ask(&format!("/api/v1/events/{event}")).await["attempts"][0]["reason"];
    assert_eq!(reason, "answered 404 10015: Unknown webhook [redacted]");
}
