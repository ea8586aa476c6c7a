//! What is kept of people: redaction, erasure, retention of a hook, and encryption, from the outside.

use std::path::Path;
use std::process::Output;

use landfall_tests::{Node, Setup, bundled, event_id, eventually, guest, landfall, root};
use serde_json::{Value, json};

use crate::docs::samples;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const CANARY: &str = "c4n4ry-0f-a-p3rson";
const OLD_KEY: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const NEW_KEY: &str = "2222222222222222222222222222222222222222222222222222222222222222";
const ROWS: &str = "[settings]\ntable = \"t\"\n[allow]\ntable = [\"t\"]\n";

/// The files below a directory that contain the text.
fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| {
        if path.is_dir() {
            return files_with(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        let has = bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        Vec::from_iter(has.then(|| path.display().to_string()))
    });
    found.collect()
}

/// Runs `landfall …` against the node.
fn run(node: &Node, arguments: &[&str]) -> (bool, String) {
    said(node.command().args(arguments).output().unwrap())
}

fn said(output: Output) -> (bool, String) {
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

/// A hook `store` that keeps each body as a row.
fn storing(hook_file: &str) -> Setup {
    let file = format!("mode = \"async\"\n{hook_file}{OPEN}{ROWS}");
    Setup::new().hook("store", &bundled("store"), &file)
}

async fn send(node: &Node, body: &str) -> String {
    let answer = node.deliver("/store", &[], body).await;
    assert_eq!(answer.0, 202, "{answer:?}");
    event_id(&answer)
}

/// The id in the answer of the guest `emits`.
fn quick_id(answer: &(u16, String)) -> String {
    let json: Value = serde_json::from_str(&answer.1).unwrap();
    json["quick"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn removed_values_are_never_stored() {
    let rules = "[redact]\njson = [\"/user/email\", \"/cards/*\"]\nheaders = [\"X-User\"]\nquery = [\"user\"]\n";
    let file = format!("mode = \"async\"\n{OPEN}{ROWS}{rules}");
    let setup = Setup::new().hook("store", &bundled("store"), &file);
    let node = setup.serving("store").await;
    let body = format!(
        "{{\"n\": 12345678901234567890.10, \"user\": {{\"\\u0065mail\": \"{CANARY}\"}}, \"cards\": [\"{CANARY}\", 7]}}"
    );
    let headers = [("x-user", CANARY), ("content-digest", "sha-256=:AA==:")];
    let path = format!("/store?user={CANARY}&page=2");
    let answer = node.deliver(&path, &headers, &body).await;
    let event = event_id(&answer);
    node.until_states("store", &["done"]).await;

    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    let stored = shown["event"]["body"]["text"].as_str().unwrap();
    assert_eq!(
        stored,
        "{\"n\": 12345678901234567890.10, \"user\": {\"\\u0065mail\": \"[redacted]\"}, \"cards\": [\"[redacted]\", \"[redacted]\"]}"
    );
    let attributes = shown["event"]["attributes"].as_array().unwrap();
    assert!(attributes.contains(&json!(["redacted", "5"])), "{shown}");
    assert!(!shown.to_string().contains("content-digest"), "{shown}");
    let row = &node.rows("store", "t").await[0];
    assert!(row.to_string().contains("[redacted]"), "{row}");

    assert!(!shown.to_string().contains(CANARY) && !row.to_string().contains(CANARY));
    assert_eq!(files_with(&node.data(), CANARY), Vec::<String>::new());
    let metrics = node.metrics().await;
    let counted = "landfall_redacted_total{hook=\"store\",removed=\"values\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn sync_handlers_see_the_redacted_event() {
    let file = format!("{OPEN}[redact]\njson = [\"/**/email\"]\nform = [\"email\"]\n");
    let setup = Setup::new().hook("echo", &bundled("echo"), &file);
    let node = setup.serving("echo").await;
    let body = format!("{{\"a\":[{{\"email\":\"{CANARY}\"}}],\"b\":1}}");
    let (status, text) = node.post("/echo", &[], body).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({ "a": [{ "email": "[redacted]" }], "b": 1 });
    assert_eq!((status, &answer["received"]), (200, &expected));

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let (status, text) = node.post("/echo", &form, "email=a%40b&x=1").await;
    assert_eq!(status, 200);
    assert!(
        text.contains("[redacted]") && !text.contains("a@b"),
        "{text}"
    );
}

#[tokio::test]
async fn unreadable_bodies_are_refused() {
    let rules = "[redact]\njson = [\"/user\"]\n";
    let file = format!("mode = \"async\"\n{OPEN}{rules}");
    let lenient = format!("mode = \"async\"\n{OPEN}{rules}unreadable = \"remove\"\n");
    let setup = Setup::new().hook("strict", &bundled("echo"), &file);
    let node = setup
        .hook("lenient", &bundled("echo"), &lenient)
        .serving("strict")
        .await;
    node.until("lenient", "serving").await;
    let cut = format!("{{\"user\": \"{CANARY}\"");
    assert_eq!(node.post("/strict", &[], cut.clone()).await.0, 422);
    let refusals = node.ask("/api/v1/refusals").await.to_string();
    assert!(refusals.contains("body_unreadable"), "{refusals}");
    assert!(!refusals.contains(CANARY), "{refusals}");

    let event = event_id(&node.deliver("/lenient", &[], cut).await);
    node.until_states("lenient", &["done"]).await;
    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    assert_eq!(shown["event"]["body_bytes"], 0);
    assert!(shown.to_string().contains("unreadable-body"), "{shown}");
    node.until_log("[redact] cannot read it").await;
    assert_eq!(files_with(&node.data(), CANARY), Vec::<String>::new());
}

#[tokio::test]
async fn emitted_events_are_redacted() {
    let emits = format!("mode = \"async\"\n{OPEN}[allow]\nemit = [\"store\"]\n");
    let setup = storing("").hook("emits", &guest("emits"), &emits);
    let text = format!("mode = \"async\"\n{OPEN}{ROWS}[redact]\njson = [\"/a\"]\n");
    let node = setup.file("store.toml", text).serving("store").await;
    node.until("emits", "serving").await;
    let line = format!("store {{\"a\":\"{CANARY}\"}}");
    node.deliver("/emits", &[], line).await;
    node.until_states("store", &["done"]).await;
    let row = &node.rows("store", "t").await[0];
    assert!(row.to_string().contains("[redacted]"), "{row}");
    assert!(!row.to_string().contains(CANARY), "{row}");
}

#[tokio::test]
async fn unread_rules_are_waited_for() {
    let retry = "[retry]\nattempts = 100\n\
        backoff = { first = \"1s\", factor = 1.0, max = \"1s\", jitter = 0.0 }\n";
    let emits = format!("mode = \"async\"\n{retry}{OPEN}[allow]\nemit = [\"store\"]\n");
    let setup = storing("").hook("emits", &guest("emits"), &emits);
    let rules = format!("mode = \"async\"\n{OPEN}{ROWS}[redact]\njson = [\"/a\"]\n");
    let broken = format!("{rules}unknown =\n");
    let node = setup.file("store.toml", broken).serving("emits").await;
    node.until("store", "unavailable").await;
    let line = format!("store {{\"a\":\"{CANARY}\"}}");
    let event = quick_id(&node.deliver("/emits", &[], line).await);
    eventually("the emission is refused", || async {
        let shown = node
            .ask(&format!("/api/v1/events/{event}"))
            .await
            .to_string();
        shown.contains("store.toml cannot be read").then_some(())
    })
    .await;
    assert!(node.deliveries("store").await.is_empty());

    node.put("store.toml", &rules);
    node.until_states("store", &["done"]).await;
    let row = &node.rows("store", "t").await[0];
    assert!(row.to_string().contains("[redacted]"), "{row}");
}

#[tokio::test]
async fn rules_of_vanished_files_hold() {
    let emits = format!("mode = \"async\"\n{OPEN}[allow]\nemit = [\"store\"]\n");
    let rules = format!("mode = \"async\"\n{OPEN}{ROWS}[redact]\njson = [\"/a\"]\n");
    let setup = storing("").hook("emits", &guest("emits"), &emits);
    let node = setup
        .file("store.toml", rules.clone())
        .serving("store")
        .await;
    node.until("emits", "serving").await;
    std::fs::remove_file(node.plugins().join("store.toml")).unwrap();
    node.until("store", "unavailable").await;

    let line = format!("store {{\"a\":\"{CANARY}\"}}");
    node.deliver("/emits", &[], line).await;
    node.until_states("emits", &["done"]).await;
    node.put("store.toml", &rules);
    node.until_states("store", &["done"]).await;
    let row = &node.rows("store", "t").await[0];
    assert!(row.to_string().contains("[redacted]"), "{row}");
    assert!(!row.to_string().contains(CANARY), "{row}");
}

#[tokio::test]
async fn stored_keys_cannot_be_redacted() {
    let file = format!(
        "mode = \"async\"\norder_by = {{ json = \"/user/id\" }}\n{OPEN}[redact]\njson = [\"/user\"]\n"
    );
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .start()
        .await;
    let hook = node.until("in", "unavailable").await;
    let problem = hook["problem"].as_str().unwrap();
    assert!(problem.contains("order_by reads a value"), "{problem}");
}

#[tokio::test]
async fn erased_events_keep_their_fact() {
    let node = storing("").serving("store").await;
    let gone = send(
        &node,
        &format!("{{\"user\":{{\"id\":42}},\"c\":\"{CANARY}\"}}"),
    )
    .await;
    let kept = send(&node, "{\"user\":{\"id\":43}}").await;
    node.until_states("store", &["done", "done"]).await;
    let search = "hook:store json.user.id:42 since:30d";

    let (good, text) = run(&node, &["events", "erase", "--where", search, "--dry-run"]);
    assert!(
        good && text.contains("1 event with 1 attempt, 1 row and 0 values would be erased"),
        "{text}"
    );
    let (good, text) = run(&node, &["events", "erase", "--where", search]);
    assert!(!good && text.contains("add --yes"), "{text}");
    let (good, text) = run(&node, &["events", "erase", "--where", search, "--yes"]);
    assert!(
        good && text.contains("1 event with 1 attempt, 1 row and 0 values erased"),
        "{text}"
    );

    if std::env::var("LANDFALL_TEST_LEDGER").is_err() {
        assert_eq!(files_with(&node.data(), CANARY), Vec::<String>::new());
    }
    let shown = node.ask(&format!("/api/v1/events/{gone}")).await;
    assert!(
        shown["event"]["problem"]
            .as_str()
            .unwrap()
            .starts_with("erased"),
        "{shown}"
    );
    assert!(shown["deliveries"][0]["erased_at"].is_string(), "{shown}");
    assert!(!shown.to_string().contains(CANARY), "{shown}");
    let (_, text) = run(&node, &["events", "list"]);
    assert_eq!(text.matches("done erased").count(), 1, "{text}");
    let (good, text) = run(&node, &["events", "replay", &gone]);
    assert!(
        text.contains("1 are erased: nothing is left to run"),
        "{good} {text}"
    );
    let rows = node.rows("store", "t").await;
    assert_eq!((rows.len(), &rows[0]["event_id"]), (1, &json!(kept)));

    let audit = node.ask("/api/v1/audit?action=erase").await;
    let entries = audit["entries"].as_array().unwrap();
    assert!(
        !entries.is_empty() && !audit.to_string().contains("json.user"),
        "{audit}"
    );
    assert!(
        run(&node, &["events", "erase", &gone, "--yes"])
            .1
            .contains("1 erased before")
    );
}

#[tokio::test]
async fn children_are_erased_on_request() {
    let emits = format!("mode = \"async\"\n{OPEN}[allow]\nemit = [\"store\"]\n");
    let setup = storing("").hook("emits", &guest("emits"), &emits);
    let node = setup.serving("store").await;
    node.until("emits", "serving").await;
    let parent = quick_id(
        &node
            .deliver("/emits", &[], "store {\"a\":1}\nstore {\"a\":2}")
            .await,
    );
    node.until_states("emits", &["done"]).await;
    node.until_states("store", &["done", "done"]).await;
    let (_, text) = run(&node, &["events", "erase", &parent, "--dry-run"]);
    assert!(text.contains("2 emitted events stay"), "{text}");
    let (good, text) = run(&node, &["events", "erase", &parent, "--children", "--yes"]);
    assert!(
        good && text.contains("3 events") && text.contains("2 of them emitted"),
        "{text}"
    );
    assert!(node.rows("store", "t").await.is_empty());
}

#[tokio::test]
async fn waiting_events_are_left_alone() {
    let node = storing("").serving("store").await;
    node.order("/api/v1/hooks/store/pause", json!({})).await;
    let event = send(&node, "{}").await;
    let (good, text) = run(&node, &["events", "erase", &event, "--yes"]);
    assert!(
        good && text.contains("1 left alone: pending or running"),
        "{text}"
    );
    node.order("/api/v1/hooks/store/resume", json!({})).await;
    node.until_states("store", &["done"]).await;
}

#[tokio::test]
async fn a_hook_keeps_events_for_its_own_time() {
    let short = format!("mode = \"async\"\nretention = \"1s\"\n{OPEN}");
    let setup = storing("").hook("short", &bundled("echo"), &short);
    let node = setup.serving("store").await;
    node.until("short", "serving").await;
    send(&node, "{}").await;
    node.deliver("/short", &[], "{}").await;
    node.until_states("store", &["done"]).await;
    // A busy node may have removed it by then.
    eventually("the short delivery is done", || async {
        let all = node.deliveries("short").await;
        all.iter().all(|one| one["state"] == "done").then_some(())
    })
    .await;

    // The node looks soon after its start.
    let node = node.killed().serving("short").await;
    eventually("the hook's deliveries are gone", || async {
        node.deliveries("short").await.is_empty().then_some(())
    })
    .await;
    assert_eq!(node.deliveries("store").await.len(), 1);
}

#[tokio::test]
async fn vanished_hooks_keep_their_events() {
    let short = format!("mode = \"async\"\nretention = \"1s\"\n{OPEN}");
    let long = format!("mode = \"async\"\n{OPEN}");
    let setup = Setup::new().hook("short", &bundled("echo"), &short);
    let node = setup
        .hook("vanished", &bundled("echo"), &long)
        .serving("vanished")
        .await;
    node.until("short", "serving").await;
    node.deliver("/short", &[], "{}").await;
    node.deliver("/vanished", &[], "{}").await;
    node.until_states("vanished", &["done"]).await;

    // The node itself keeps nothing for long. It looks soon after its start.
    let setup = node.killed().env("LANDFALL_LEDGER_RETENTION", "1s");
    for file in ["vanished.toml", "vanished.wasm"] {
        std::fs::remove_file(setup.plugins().join(file)).unwrap();
    }
    let node = setup.serving("short").await;
    eventually("the short delivery is gone", || async {
        node.deliveries("short").await.is_empty().then_some(())
    })
    .await;
    assert_eq!(node.deliveries("vanished").await.len(), 1);
    let metrics = node.metrics().await;
    let goes_on = "landfall_ledger_retention_stopped 0";
    assert!(metrics.contains(goes_on), "{metrics}");
}

/// With these keys, the first of which encrypts.
fn with_keys(setup: Setup, keys: &str) -> Setup {
    setup
        .env("LANDFALL_LEDGER_ENCRYPTION_KEYS", keys)
        .env("OLD_LEDGER_KEY", OLD_KEY)
        .env("NEW_LEDGER_KEY", NEW_KEY)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_the_key_say_so() {
    let Some(setup) = storing("").on_postgres() else {
        return;
    };
    let plain = setup.copy().serving("store").await;
    let node = with_keys(setup.copy(), "env:OLD_LEDGER_KEY");
    let node = node.serving("store").await;
    let event = send(&node, &format!("{{\"c\":\"{CANARY}\"}}")).await;
    node.until_states("store", &["done"]).await;

    let shown = plain.ask(&format!("/api/v1/events/{event}")).await;
    let problem = shown["event"]["problem"].as_str().unwrap();
    assert!(problem.starts_with("encrypted"), "{shown}");
    let row = plain.rows("store", "t").await.remove(0);
    let text = row["row"].as_str().unwrap();
    assert!(
        text.starts_with("(encrypted: this node does not have the key"),
        "{row}"
    );
    let (_, said) = run(&plain, &["events", "show", &event]);
    assert!(
        said.contains("encrypted: this node does not have the key"),
        "{said}"
    );
    for shown in [shown.to_string(), row.to_string(), said] {
        assert!(!shown.contains("landfall-seal"), "{shown}");
    }
}

#[tokio::test]
async fn encrypted_ledgers_work_as_others() {
    let setup = with_keys(storing(""), "env:OLD_LEDGER_KEY");
    let node = setup.serving("store").await;
    let body = format!("{{\"user\":{{\"id\":42}},\"c\":\"{CANARY}\"}}");
    let event = send(&node, &body).await;
    send(&node, "{\"user\":{\"id\":43}}").await;
    node.until_states("store", &["done", "done"]).await;
    assert_eq!(files_with(&node.data(), CANARY), Vec::<String>::new());

    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    assert_eq!(shown["event"]["body"]["text"], body);
    assert!(
        shown["attempts"][0]["record"]["component"].is_string(),
        "{shown}"
    );
    let found = node.events("value=/user/id=42").await;
    assert_eq!((found.len(), &found[0]["event"]), (1, &json!(event)));
    let rows = node.rows("store", "t").await;
    assert!(
        rows.iter().any(|row| row.to_string().contains(CANARY)),
        "{rows:?}"
    );

    let (good, text) = run(&node, &["events", "replay", &event]);
    assert!(good, "{text}");
    node.until_states("store", &["done", "done", "done"]).await;
    let (good, text) = run(&node, &["events", "erase", &event, "--yes"]);
    assert!(good && text.contains("1 event"), "{text}");
    assert!(node.ask(&format!("/api/v1/events/{event}")).await["event"]["problem"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_shapes_leave_the_files() {
    let setup = with_keys(storing(""), "env:OLD_LEDGER_KEY");
    let setup = setup.env("LANDFALL_SHAPE_INTERVAL", "100ms");
    let node = setup.serving("store").await;
    send(&node, &format!("{{\"{CANARY}\":1}}")).await;
    node.until_states("store", &["done"]).await;
    eventually("the name is learned", || async {
        let (_, said) = run(&node, &["shape", "store", "--type", ""]);
        said.contains(CANARY).then_some(())
    })
    .await;

    let (_, said) = run(&node, &["shape", "store", "--forget"]);
    assert_eq!(said, "store: done\n");
    assert_eq!(files_with(&node.data(), CANARY), Vec::<String>::new());
}

#[tokio::test]
async fn ledgers_do_not_open_without_their_key() {
    let setup = with_keys(storing(""), "env:OLD_LEDGER_KEY");
    let node = setup.serving("store").await;
    send(&node, "{}").await;
    let setup = node.killed();
    let copy = |keys: &str| with_keys(setup.copy(), keys);
    let said = copy("env:NEW_LEDGER_KEY").refusal().await;
    assert!(
        said.contains("ledger.encryption_keys does not have it"),
        "{said}"
    );
    let said = copy("env:OLD_LEDGER_KEY, env:MISSING").refusal().await;
    assert!(said.contains("MISSING"), "{said}");
    let said = copy("env:NEW_LEDGER_KEY")
        .env("NEW_LEDGER_KEY", "short")
        .refusal()
        .await;
    assert!(
        said.contains("openssl rand -base64 32") && !said.contains("short\""),
        "{said}"
    );
}

#[tokio::test]
async fn plain_ledgers_are_encrypted_and_rotated() {
    let plain = storing("").serving("store").await;
    let body = format!("{{\"c\":\"{CANARY}\"}}");
    let event = send(&plain, &body).await;
    plain.until_states("store", &["done"]).await;
    let setup = plain.killed();
    if std::env::var("LANDFALL_TEST_LEDGER").is_err() {
        assert!(!files_with(&setup.data(), CANARY).is_empty());
    }

    // A running node encrypts after its start, a command that of a stopped one.
    let node = with_keys(setup, "env:OLD_LEDGER_KEY")
        .serving("store")
        .await;
    node.until_log("the ledger is encrypted with the first key")
        .await;
    if std::env::var("LANDFALL_TEST_LEDGER").is_err() {
        assert_eq!(files_with(&node.data(), CANARY), Vec::<String>::new());
    }
    let metrics = node.metrics().await;
    assert!(
        metrics.contains("landfall_ledger_encrypted_records{key="),
        "{metrics}"
    );
    let setup = node.killed();
    if std::env::var("LANDFALL_TEST_LEDGER").is_ok() {
        return;
    }

    let mut command = std::process::Command::new(landfall());
    command
        .args(["ledger", "encrypt", "--json", "--data"])
        .arg(setup.data())
        .env(
            "LANDFALL_LEDGER_ENCRYPTION_KEYS",
            "env:NEW_LEDGER_KEY,env:OLD_LEDGER_KEY",
        )
        .env("LANDFALL_LEDGER_RESERVE", "0B")
        .env("NEW_LEDGER_KEY", NEW_KEY)
        .env("OLD_LEDGER_KEY", OLD_KEY);
    let (good, text) = said(command.output().unwrap());
    let line = text
        .lines()
        .find(|line| line.starts_with('{'))
        .unwrap_or_default();
    let done: Value = serde_json::from_str(line).unwrap_or_default();
    assert!(good && done["encrypted"].as_u64() >= Some(3), "{text}");
    assert_eq!(
        done["by_key"].as_object().map(serde_json::Map::len),
        Some(1),
        "{text}"
    );

    let node = with_keys(setup, "env:NEW_LEDGER_KEY")
        .serving("store")
        .await;
    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    assert_eq!(shown["event"]["body"]["text"], body);
    assert_eq!(files_with(&node.data(), CANARY), Vec::<String>::new());
}

/// The page: its hook file, what the provider sends, what is stored, and the commands.
#[tokio::test]
async fn the_example_of_the_page_works() {
    let all = samples(&root().join("docs/PRIVACY.md"));
    let of = |language: &str| {
        let found = all.iter().filter(|sample| sample.language == language);
        found.map(|sample| sample.text.clone()).collect::<Vec<_>>()
    };
    let (hook, bodies, commands) = (&of("toml")[0], of("json"), of("bash"));
    let node = Setup::new()
        .hook("signups", &bundled("store"), hook)
        .file("store.wasm", std::fs::read(bundled("store")).unwrap())
        .env("SIGNUPS_SECRET", "s3cret")
        .serving("signups")
        .await;
    let headers = [("secret", "s3cret"), ("x-forwarded-user", "ann")];
    let event = event_id(&node.deliver("/signups", &headers, bodies[0].trim()).await);
    node.until_states("signups", &["done"]).await;
    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    assert_eq!(shown["event"]["body"]["text"], bodies[1].trim());

    for line in commands[0].lines() {
        let mut shell = std::process::Command::new("sh");
        let line = line.replacen("landfall", &format!("'{}'", landfall().display()), 1);
        shell.arg("-c").arg(line);
        for (name, value) in node.command().get_envs() {
            shell.env(name, value.unwrap());
        }
        let (good, text) = said(shell.output().unwrap());
        assert!(
            good && text.contains("1 event with 1 attempt, 1 row"),
            "{text}"
        );
    }
    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    assert!(shown["event"]["problem"].is_string(), "{shown}");
}
