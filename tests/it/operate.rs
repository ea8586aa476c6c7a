//! What an operator sees of events: one as a whole, lists that are searched, and changes as they happen.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use landfall_tests::{Node, Receiver, Setup, bundled, event_id, eventually, guest};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// Whether a command succeeds, and what it prints.
fn run(node: &Node, arguments: &[&str]) -> (bool, String) {
    let output = node
        .command()
        .args(arguments)
        .output()
        .expect("the binary starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test]
async fn calls_are_recorded_and_shown() {
    let receiver = Receiver::start().await;
    receiver.say("{\"id\":7,\"access_token\":\"t0psecret\"}");
    let at = receiver.url("/in");
    let file = format!(
        "mode = \"async\"\n{OPEN}[settings]\ntargets = [\"{at}\"]\n[allow]\nhttp = [\"{at}\"]\n"
    );
    let node = Setup::new()
        .hook("out", &bundled("forward"), &file)
        .serving("out")
        .await;
    let event = event_id(
        &node
            .post("/out?key=1", &[("x-request-id", "r1")], "{\"n\":1}")
            .await,
    );
    node.until_states("out", &["done"]).await;

    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    let record = &shown["attempts"][0]["record"];
    let call = &record["calls"][0];
    assert_eq!(
        (&call["method"], &call["url"], &call["status"]),
        (&json!("POST"), &json!(at), &json!(200)),
        "{record}"
    );
    assert!(call["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{call}");
    assert_eq!(call["answer"], "{\"id\":7,\"access_token\":\"[redacted]\"}");
    assert_eq!(
        record["component"],
        node.hook("out").await.unwrap()["digest"]
    );

    let short = &event[..18];
    let (good, text) = run(&node, &["events", "show", short]);
    let call = format!("call POST {at} in ");
    for part in [
        &event,
        "POST /out",
        "x-request-id: r1",
        "verified   by none",
        "{\"n\":1}",
        "attempt 1",
        &call,
        "sha256:",
    ] {
        assert!(good && text.contains(part), "{part}:\n{text}");
    }
    assert!(!text.contains("t0psecret"), "{text}");
    assert_eq!(
        run(&node, &["events", "show", short, "--body"]),
        (true, "{\"n\":1}".to_owned())
    );
}

#[tokio::test]
async fn recorded_calls_are_bounded() {
    let receiver = Receiver::start().await;
    receiver.say(&"x".repeat(5000));
    let at = receiver.url("/in");
    let file =
        format!("mode = \"async\"\n{OPEN}[settings]\nurl = \"{at}\"\n[allow]\nhttp = [\"{at}\"]\n");
    let node = Setup::new()
        .hook("many", &guest("many_calls"), &file)
        .serving("many")
        .await;
    let event = event_id(&node.post("/many", &[], "").await);
    node.until_states("many", &["done"]).await;
    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    let calls = shown["attempts"][0]["record"]["calls"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(
        (calls.len(), calls[0]["answer"].as_str().unwrap().len()),
        (33, 2048)
    );
    assert_eq!(calls[32]["error"], "limit");
    // Of 1000 calls, 64 were answered.
    assert_eq!(calls[32]["repeated"], 935);
    let failed = node
        .logged("the failed calls", |line| {
            line["message"] == "outbound call failed"
        })
        .await;
    assert_eq!(failed["repeated"], 935, "{failed}");
    let (_, text) = run(&node, &["events", "show", &event]);
    assert!(
        text.contains("935 more calls had this error") && text.contains("… 31 more calls"),
        "{text}"
    );
}

#[tokio::test]
async fn lists_are_searched_and_go_on() {
    let file = format!("mode = \"async\"\n{OPEN}[dedup]\nid = {{ header = \"X-Delivery\" }}\n");
    let setup = Setup::new().hook("in", &guest("answers_one"), &file);
    let dead = format!("mode = \"async\"\n{OPEN}[retry]\nattempts = 1\n");
    let node = setup
        .hook("traps", &guest("traps"), &dead)
        .serving("in")
        .await;
    node.until("traps", "serving").await;
    let mut events = Vec::new();
    for n in 0..5 {
        let n = n.to_string();
        let headers = [("x-delivery", n.as_str()), ("x-request-id", n.as_str())];
        events.push(event_id(
            &node
                .post(
                    "/in",
                    &headers,
                    format!("{{\"a\":{{\"n\":{n},\"s\":\"v {n}\"}}}}"),
                )
                .await,
        ));
    }
    let trapped = event_id(&node.post("/traps", &[], "not JSON").await);
    node.until_states("in", &["done"; 5]).await;
    node.until_states("traps", &["dead"]).await;

    let only = |arguments: &[&str], event: &str| {
        let (good, text) = run(&node, &[&["events", "list"], arguments].concat());
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            good && lines.len() == 2 && lines[1].contains(&event[..18]),
            "{arguments:?}\n{text}"
        );
    };
    only(&["--delivery-id", "3"], &events[3]);
    only(&["--header", "X-Request-Id: 2"], &events[2]);
    only(&["--value", "/a/n=1"], &events[1]);
    only(&["--value", "/a/s=v 4"], &events[4]);
    only(&["--text", "v 0"], &events[0]);
    only(&["--reason", "trap", "--since", "1h"], &trapped);
    only(&["--outcome", "trap"], &trapped);
    for (arguments, lines) in [
        (&["--slower", "10m"][..], 1),
        (&["--until", "1h"], 1),
        (&["--since", "1h"], 7),
    ] {
        let (good, text) = run(&node, &[&["events", "list"], arguments].concat());
        assert!(
            good && text.lines().count() == lines,
            "{arguments:?}\n{text}"
        );
    }
    let (good, text) = run(&node, &["events", "list", "--header", "X-Signature: s"]);
    assert!(
        !good && text.contains("it is masked, and not searched"),
        "{text}"
    );

    let (_, text) = run(&node, &["events", "list", "--hook", "in", "--limit", "2"]);
    assert!(text.starts_with("RECEIVED"), "{text}");
    let cursor = text.trim_end().rsplit(' ').next().unwrap().to_owned();
    let (_, rest) = run(
        &node,
        &["events", "list", "--hook", "in", "--after", &cursor],
    );
    assert!(
        text.contains(&events[4][..18])
            && rest.contains(&events[0][..18])
            && rest.lines().count() == 4,
        "{rest}"
    );
    let (_, text) = run(&node, &["events", "list", "--text", "v ", "--limit", "2"]);
    assert!(text.contains("more with --after"), "{text}");

    let (good, text) = run(&node, &["events", "show", &events[0][..4]]);
    assert!(
        !good && text.contains("several events have ids that begin with"),
        "{text}"
    );
    let (good, text) = run(&node, &["events", "show", "ffff"]);
    assert!(!good && text.contains("no event has this id"), "{text}");
    let (good, text) = run(&node, &["events", "replay", &events[0][..18], "--dry-run"]);
    assert!(good && text.contains("1 event would be replayed"), "{text}");
}

#[tokio::test]
async fn children_and_parents_are_named() {
    let emits = format!("mode = \"async\"\n{OPEN}[allow]\nemit = [\"in\"]\n");
    let receives = format!("mode = \"async\"\n{OPEN}");
    let setup = Setup::new().hook("emits", &guest("emits"), &emits).hook(
        "in",
        &guest("answers_one"),
        &receives,
    );
    let node = setup.serving("emits").await;
    node.until("in", "serving").await;
    node.post("/emits", &[("key", "k")], "in {}").await;
    let child = node.until_states("in", &["done"]).await[0]["event"].clone();
    let parent = node.until_states("emits", &["done"]).await[0]["event"].clone();
    let shown = node
        .ask(&format!("/api/v1/events/{}", parent.as_str().unwrap()))
        .await;
    assert_eq!(
        shown["children"],
        json!([{ "event": child, "hook": "in" }]),
        "{shown}"
    );
    let shown = node
        .ask(&format!("/api/v1/events/{}", child.as_str().unwrap()))
        .await;
    assert_eq!(
        shown["parent"],
        json!({ "event": parent, "hook": "emits" }),
        "{shown}"
    );
}

#[tokio::test]
async fn tail_prints_each_change() {
    let file = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 2\nbackoff = {{ first = \"2s\", factor = 1.0, max = \"2s\", jitter = 0.0 }}\n"
    );
    let node = Setup::new()
        .hook("traps", &guest("traps"), &file)
        .serving("traps")
        .await;
    let mut tail = node
        .command()
        .args(["events", "tail", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .for_each(|line| drop(told.send(line)))
    });
    // One that comes before it listens is not followed: events are sent until one is.
    let first: Value = eventually("tail prints an event", || async {
        node.post("/traps", &[], "{}").await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        // An earlier one may be told of only from its first attempt on.
        heard
            .try_iter()
            .map(|line| serde_json::from_str::<Value>(&line).unwrap())
            .find(|line| line["change"] == "accepted")
    })
    .await;
    let mut changes = Vec::new();
    eventually("it is followed to its end", || {
        while let Ok(line) = heard.try_recv() {
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["delivery"] == first["delivery"] {
                changes.push(line);
            }
        }
        let is_dead = changes
            .last()
            .is_some_and(|change| change["change"] == "dead");
        async move { is_dead.then_some(()) }
    })
    .await;
    tail.kill().unwrap();
    tail.wait().unwrap();
    let words: Vec<&str> = changes
        .iter()
        .filter_map(|change| change["change"].as_str())
        .collect();
    assert_eq!(words, ["retry", "dead"]);
    assert!(
        changes[0]["reason"]
            .as_str()
            .is_some_and(|why| !why.is_empty()),
        "{changes:?}"
    );
}

#[tokio::test]
async fn tail_ends_with_its_node() {
    let node = Setup::new()
        .hook("in", &guest("answers_one"), OPEN)
        .serving("in")
        .await;
    let unknown = node
        .command()
        .args(["events", "tail", "--state", "nope"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(1), "{said}");
    assert!(said.contains("nope"), "{said}");

    let mut tail = node
        .command()
        .args(["events", "tail"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        told.send(lines.next()).ok();
        // The pipe stays open until the command has ended.
        lines.for_each(drop);
    });
    eventually("tail prints an event", || async {
        node.post("/in", &[], "{}").await;
        heard.try_recv().ok()
    })
    .await;

    drop(node);
    let status = eventually("tail ends", || {
        let ended = tail.try_wait().unwrap();
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(1));
    let output = tail.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("stream"), "{said}");
}

#[tokio::test]
async fn tail_ends_with_its_reader() {
    let node = Setup::new()
        .hook("in", &guest("answers_one"), OPEN)
        .serving("in")
        .await;
    // Nothing happens on the node: the command has nothing to write.
    let mut tail = node
        .command()
        .args(["events", "tail"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(tail.stdout.take());
    let status = eventually("tail ends", || {
        let ended = tail.try_wait().unwrap();
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(0));
    let output = tail.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[tokio::test]
async fn cursors_outside_the_ledger_are_harmless() {
    let node = Setup::new()
        .hook(
            "echo",
            &bundled("echo"),
            &format!("mode = \"async\"\n{OPEN}"),
        )
        .serving("echo")
        .await;
    assert_eq!(node.post("/echo", &[], "{}").await.0, 202);
    node.until_states("echo", &["done"]).await;

    for (before, count) in [(i64::MAX, 1), (1_000_000_000_000, 1), (1, 0), (i64::MIN, 0)] {
        let page = node.ask(&format!("/api/v1/events?before={before}")).await;
        let events = page["events"].as_array().unwrap();
        assert_eq!(events.len(), count, "{before}");
        assert!(page["next"].is_null(), "{before}: {page}");
    }
}
