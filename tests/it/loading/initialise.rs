//! Components with an `init`: what events find of it, what it may do, and what the operator reads.

use std::collections::BTreeSet;
use std::process::Command;

use landfall_tests::sdks::{Sdk, sdk_handler};
use landfall_tests::{Node, Setup, component, guest, landfall, root};
use serde_json::{Value, json};

use super::{MEMORY, OPEN, problem, with_instance};
use crate::docs::samples;

/// 2000-01-01, the time of day in `init`.
const INIT_S: u64 = 946_684_800;
/// 2026-01-01.
const PAST_MS: u64 = 1_767_225_600_000;

/// Draws from every source that a snapshot could freeze.
const PYTHON: &str = r#"
import os
import random
import time
import uuid

from landfall_sdk import Event, handler, init

prepared: dict[str, object] = {}
runs: list[str] = []


@init
def prepare() -> None:
    prepared.update(random=random.random(), uuid=str(uuid.uuid4()), now=int(time.time()))
    runs.append("init")
    print("prepared")


@handler
def on_event(event: Event) -> dict:
    runs.append("event")
    drawn = [str(random.random()), str(uuid.uuid4()), os.urandom(8).hex(), str(random.SystemRandom().random())]
    return {"init": prepared, "runs": runs, "drawn": drawn, "now_ms": int(time.time() * 1000)}
"#;

async fn ask(node: &Node) -> Value {
    let (status, text) = node.post("/hook", &[], "{}").await;
    assert_eq!(status, 200, "{text}\n{}", node.log());
    serde_json::from_str(&text).unwrap()
}

fn counted(metrics: &str, result: &str) -> u64 {
    let series = format!("landfall_component_snapshots_total{{result=\"{result}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
    value.map_or(0, |value| value.parse().unwrap())
}

fn inspect(component: &std::path::Path, flags: &[&str]) -> String {
    let output = Command::new(landfall())
        .arg("inspect")
        .arg(component)
        .args(flags)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{output:?}");
    said.into_owned()
}

#[tokio::test]
async fn events_start_from_the_snapshot() {
    let node = Setup::new()
        .compiles()
        .hook("hook", &guest("initialised"), OPEN)
        .serving("hook")
        .await;
    let (one, two) = (ask(&node).await, ask(&node).await);
    for answer in [&one, &two] {
        assert_eq!(answer["squares"], 100_000, "{answer}");
        assert_eq!(answer["last"], 99_999_u64 * 99_999);
        assert_eq!(answer["runs"], 2, "of init and of this event: {answer}");
        assert_eq!(answer["init_now_s"], INIT_S);
        assert!(answer["now_ms"].as_u64().unwrap() > PAST_MS, "{answer}");
    }

    // What init has kept is the same. What an event draws is not.
    assert_eq!(one["init_random"], two["init_random"]);
    assert_ne!(one["random"], two["random"]);
    assert_ne!(one["bytes"], two["bytes"]);

    assert_eq!(counted(&node.metrics().await, "taken"), 1);
    node.until_log("info: prepared 100000 squares").await;
    node.until_log("its init took random numbers").await;
}

#[tokio::test]
async fn restarted_nodes_take_no_snapshot() {
    let setup = Setup::new()
        .compiles()
        .hook("hook", &guest("initialised"), OPEN);
    let node = setup.serving("hook").await;
    let first = ask(&node).await;

    let node = node.killed().serving("hook").await;
    assert_eq!(ask(&node).await["init_random"], first["init_random"]);
    assert_eq!(counted(&node.metrics().await, "taken"), 0);
}

/// The tests' own machine code is that of an image.
#[tokio::test]
async fn images_have_snapshots() {
    let node = Setup::new()
        .hook("hook", &guest("initialised"), OPEN)
        .serving("hook")
        .await;
    assert_eq!(ask(&node).await["runs"], 2);
    assert_eq!(counted(&node.metrics().await, "taken"), 0);
}

#[tokio::test]
async fn bad_inits_are_refused() {
    let node = Setup::new()
        .compiles()
        .hook("hook", &guest("initialised"), OPEN)
        .hook("calls", &guest("init_calls"), OPEN)
        .serving("hook")
        .await;
    let why = problem(&node, "calls").await;
    assert!(
        why.contains("its init called landfall:hook/settings@0.1.0 get: it runs once"),
        "{why}"
    );

    node.put("hook.wasm", component("init_fails"));
    let status = node.until("hook", "stale").await;
    let why = status["problem"].as_str().unwrap();
    assert!(
        why.contains("cannot be initialised: its init failed: there is no template `push`"),
        "{why}"
    );
    assert_eq!(ask(&node).await["runs"], 2, "the previous version serves");
    assert!(counted(&node.metrics().await, "failed") >= 2);
}

/// The snapshotter does not know modules that export nothing. `init` runs all the same.
#[tokio::test]
async fn without_snapshot_each_event_initialises() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = with_instance(&component("initialised"), MEMORY);
    let file = folder.path().join("initialised.wasm");
    std::fs::write(&file, &bytes).unwrap();
    let node = Setup::new()
        .compiles()
        .hook("hook", &file, OPEN)
        .serving("hook")
        .await;

    let (one, two) = (ask(&node).await, ask(&node).await);
    for answer in [&one, &two] {
        assert_eq!(
            (&answer["squares"], &answer["runs"]),
            (&json!(100_000), &json!(2))
        );
        assert_ne!(answer["init_now_s"], INIT_S, "the clock of the event");
    }
    assert_ne!(one["init_random"], two["init_random"]);

    assert_eq!(counted(&node.metrics().await, "impossible"), 1);
    node.until_log(
        "there is no snapshot of the component: its init runs at the start of each event",
    )
    .await;
    let said = inspect(&file, &[]);
    assert!(
        said.contains("init     runs at the start of each event: there is no snapshot, because "),
        "{said}"
    );
}

#[test]
fn inspect_tells_of_snapshots() {
    let said = inspect(&guest("initialised"), &[]);
    for words in [
        "exports  landfall:init/init@0.1.0",
        "each event starts with what it left in memory, also the random numbers that it kept",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }

    let receipt: Value =
        serde_json::from_str(&inspect(&guest("initialised"), &["--json"])).unwrap();
    let init = &receipt["init"];
    assert_eq!(init["export"], "landfall:init/init@0.1.0");
    assert_eq!(init["snapshot"], true);
    assert_eq!(init["took_random_numbers"], true);
    assert_eq!(init["read_environment"], false);
    let without: Value =
        serde_json::from_str(&inspect(&guest("answers_one"), &["--json"])).unwrap();
    assert!(without["init"].is_null(), "{without}");
}

#[tokio::test]
async fn python_snapshots_freeze_nothing() {
    let Some(component) = sdk_handler(Sdk::Python, "initialised", PYTHON) else {
        return;
    };
    let with_variable = format!("{OPEN}[environment]\nPLACE = \"here\"\n");
    let node = Setup::new()
        .hook("hook", &component, OPEN)
        .hook("other", &component, &with_variable)
        .serving("hook")
        .await;

    let (one, two) = (ask(&node).await, ask(&node).await);
    for answer in [&one, &two] {
        assert_eq!(answer["runs"], json!(["init", "event"]), "{answer}");
        assert_eq!(answer["init"]["now"], INIT_S);
        assert!(answer["now_ms"].as_u64().unwrap() > PAST_MS, "{answer}");
    }
    assert_eq!(one["init"], two["init"]);
    let drawn = |answer: &Value| answer["drawn"].as_array().unwrap().clone();
    let all: BTreeSet<String> = drawn(&one)
        .into_iter()
        .chain(drawn(&two))
        .chain([one["init"]["uuid"].clone()])
        .map(|drawn| drawn.to_string())
        .collect();
    assert_eq!(all.len(), 9, "{one}\n{two}");

    let why = problem(&node, "other").await;
    assert!(
        why.contains("variables of [environment] would not reach it"),
        "{why}"
    );
}

/// The handler of the page, as it stands there.
#[tokio::test]
async fn the_page_has_a_handler() {
    let page = root().join("docs/handlers/initialise.md");
    let mut samples = samples(&page).into_iter();
    let sample = samples
        .find(|sample| sample.language == "python")
        .expect("the page has a sample in Python");
    let Some(component) = sdk_handler(Sdk::Python, "greets", &sample.text) else {
        return;
    };
    let node = Setup::new()
        .hook("hook", &component, OPEN)
        .serving("hook")
        .await;

    let (status, text) = node
        .post("/hook", &[], r#"{"kind": "push", "who": "Ada"}"#)
        .await;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(
        (status, &answer["text"]),
        (200, &json!("Ada pushed to main")),
        "{text}\n{}",
        node.log()
    );
    let (_, again) = node
        .post("/hook", &[], r#"{"kind": "push", "who": "Ada"}"#)
        .await;
    assert_ne!(text, again, "each ticket has a number of its own");
}
