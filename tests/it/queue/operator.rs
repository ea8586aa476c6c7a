//! What an operator does with stored events.

use std::time::{Duration, Instant};

use landfall_tests::{Setup, bundled, event_id, eventually, guest};
use serde_json::{Value, json};

use super::{OPEN, STORE, store};

#[tokio::test]
async fn commands_list_show_replay_and_export() {
    let node = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .serving("store")
        .await;
    let answer = node
        .post("/store", &[("id", "1")], "{\"n\":\"=1+1, \\\"x\\\"\"}")
        .await;
    node.until_states("store", &["done"]).await;
    let run = |arguments: &[&str]| {
        let output = node
            .command()
            .args(arguments)
            .output()
            .expect("the binary starts");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            said(&output.stdout),
            said(&output.stderr),
        )
    };
    let id = event_id(&answer);
    let (good, listed, _) = run(&["events", "list", "--hook", "store", "--state", "done"]);
    assert!(
        good && listed.lines().count() == 2
            && listed.contains(&id[..18])
            && listed.contains("done attempt 1"),
        "{listed}"
    );
    let (good, shown, _) = run(&["events", "show", &id, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(good && shown["event"]["id"] == json!(id), "{shown}");
    let (_, counted, _) = run(&["events", "stats"]);
    assert!(
        counted.contains("store") && counted.contains("done") && counted.trim_end().ends_with('1'),
        "{counted}"
    );
    let (_, dry, _) = run(&[
        "events",
        "replay",
        "--hook",
        "store",
        "--state",
        "done",
        "--dry-run",
    ]);
    assert!(dry.ends_with("\n1 event would be replayed\n"), "{dry}");
    assert!(run(&["events", "replay", &id]).0);
    node.until_states("store", &["done", "done"]).await;
    let (_, csv, _) = run(&["rows", "t", "--hook", "store", "--format", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        (lines[0], lines.len()),
        ("event_id,received_at,id,n", 3),
        "{csv}"
    );
    assert!(lines[1].ends_with(",\"'=1+1, \"\"x\"\"\""), "{csv}");
    let (good, _, said) = run(&["rows", "u", "--hook", "store"]);
    assert!(
        !good && said.contains("hook `store` has no table `u`"),
        "{said}"
    );
    for format in ["csv", "jsonl"] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let mut rows = node.command();
        let output = rows
            .args(["rows", "t", "--hook", "store", "--format", format])
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    let (_, jsonl, _) = run(&["rows", "t", "--hook", "store"]);
    assert!(
        jsonl
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).unwrap()["event_id"] == json!(id)),
        "{jsonl}"
    );
    for (arguments, sentence) in [
        (
            &["events", "show", "nonsense"][..],
            "`nonsense` is not the id of an event",
        ),
        (
            &["events", "show", "00000000-0000-0000-0000-000000000000"],
            "no event has this id",
        ),
        (
            &["events", "list", "--state", "lost"],
            "`lost` is not a state",
        ),
        (
            &["events", "replay", "00000000-0000-0000-0000-000000000000"],
            "1 event: not known",
        ),
    ] {
        let (good, _, said) = run(arguments);
        assert!(!good && said.contains(sentence), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn unordering_a_hook_frees_its_backlog() {
    let file = |order: &str| format!("mode = \"async\"\n{order}{OPEN}[settings]\nms = 700\n");
    let ordered = file("order_by = { json = \"/key\" }\n");
    let node = Setup::new()
        .hook("slow", &guest("sleeps"), &ordered)
        .serving("slow")
        .await;
    for _ in 0..3 {
        assert_eq!(node.post("/slow", &[], "{\"key\":1}").await.0, 202);
    }
    node.put("slow.toml", file(""));
    node.until_states("slow", &["done"; 3]).await;
}

#[tokio::test]
async fn pauses_and_rates_outlive_restarts() {
    let rate = format!("mode = \"async\"\nmax_rate = \"5/s\"\n{OPEN}{STORE}");
    let setup = Setup::new().hook("store", &bundled("store"), &store("auto"));
    let node = setup
        .hook("rated", &bundled("store"), &rate)
        .serving("store")
        .await;
    node.until("rated", "serving").await;
    assert_eq!(
        node.order("/api/v1/hooks/store/pause", json!({})).await["paused"],
        true
    );
    assert_eq!(
        node.order("/api/v1/hooks/absent/pause", json!({})).await["error"],
        "no hook has this name"
    );
    assert_eq!(
        node.post("/store", &[("id", "1")], "{\"n\":1}").await.0,
        202
    );
    let node = node.killed().serving("store").await;
    node.settle().await;
    node.until_states("store", &["pending"]).await;
    assert_eq!(node.hook("store").await.unwrap()["paused"], true);
    assert_eq!(node.deliveries("store").await[0]["waits_for"], "resume");
    node.order("/api/v1/hooks/store/resume", json!({})).await;
    node.until_states("store", &["done"]).await;
    assert_eq!(
        node.post("/store", &[("id", "2")], "{\"n\":2}").await.0,
        202,
        "it runs at once again"
    );
    node.until("rated", "serving").await;
    let started = Instant::now();
    for n in 0..15 {
        assert_eq!(
            node.post(
                "/rated",
                &[("id", &n.to_string())],
                format!("{{\"n\":{n}}}")
            )
            .await
            .0,
            202
        );
    }
    node.until_states("rated", &["done"; 15]).await;
    // Five at once, then ten more at five a second.
    assert!(
        started.elapsed() >= Duration::from_millis(1800),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn replays_are_filtered_and_rate_limited() {
    let node = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .serving("store")
        .await;
    for n in 0..10 {
        assert_eq!(
            node.post(
                "/store",
                &[("id", &n.to_string())],
                format!("{{\"n\":{n}}}")
            )
            .await
            .0,
            202
        );
    }
    let done = node.until_states("store", &["done"; 10]).await;
    let at = |number: usize| done[number]["received_at"].clone();
    let some = json!({ "hook": "store", "state": "done", "since": at(2), "until": at(8), "dry_run": true });
    let count = node.order("/api/v1/replay", some).await["events"]
        .as_u64()
        .unwrap();
    assert!((1..=8).contains(&count), "{count}");
    let wrong = node
        .order(
            "/api/v1/replay",
            json!({ "hook": "store", "since": "yesterday" }),
        )
        .await;
    assert_eq!(
        wrong["error"],
        "`yesterday` is not a time: write 2026-01-31T08:15:30Z, or 1h for an hour ago"
    );
    let started = Instant::now();
    let order = json!({ "hook": "store", "state": "done", "limit": 6, "per_second": 5 });
    assert_eq!(
        node.order("/api/v1/replay", order.clone()).await["events"],
        6
    );
    let again = node.order("/api/v1/replay", order).await;
    // The other four, and those of the first six that have ended by then: what waits is not
    // replayed again.
    assert!(
        (4..=6).contains(&again["events"].as_u64().unwrap()),
        "{again}"
    );
    let all = 16 + again["events"].as_u64().unwrap() as usize;
    node.until_states("store", &vec!["done"; all]).await;
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn tail_follows_and_commands_pause_hooks() {
    use std::io::{BufRead, BufReader};
    let node = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .serving("store")
        .await;
    let command = |words: &[&str]| {
        let mut command = node.command();
        command.args(words).stdout(std::process::Stdio::piped());
        command
    };
    let paused = command(&["hooks", "pause", "store"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&paused.stdout).contains("paused"),
        "{paused:?}"
    );
    let mut tail = command(&["events", "tail", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // One that comes before it listens is not followed: it is asked until one is.
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(lines.next()));
    let line = eventually("tail prints an event", || async {
        assert_eq!(node.post("/store", &[], "{\"n\":1}").await.0, 202);
        heard.try_recv().ok()
    })
    .await;
    tail.kill().unwrap();
    tail.wait().unwrap();
    let line: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
    assert_eq!(
        (&line["hook"], &line["state"]),
        (&json!("store"), &json!("pending"))
    );
    assert!(
        command(&["hooks", "resume", "store"])
            .status()
            .unwrap()
            .success()
    );
    eventually("what waited is done", || async {
        node.deliveries("store")
            .await
            .iter()
            .all(|one| one["state"] == "done")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn plain_failures_are_no_success() {
    let retry = "[retry]\nattempts = 2\n\
         backoff = { first = \"50ms\", factor = 1.0, max = \"50ms\", jitter = 0.0 }\n";
    let setup = Setup::new()
        .hook(
            "later",
            &guest("plain"),
            &format!("mode = \"async\"\n{OPEN}{retry}"),
        )
        .hook(
            "now",
            &guest("plain"),
            &format!("mode = \"auto\"\nanswer_within = \"30s\"\n{OPEN}{retry}"),
        );
    let node = setup.serving("later").await;
    node.until("now", "serving").await;

    for (status, answered, attempt, reason) in [
        (302, 302, 1, "reject: the handler answered 302"),
        (404, 404, 1, "reject: the handler answered 404"),
        (429, 202, 2, "retry: the handler answered 429"),
        (503, 202, 2, "retry: the handler answered 503"),
    ] {
        let answer = node
            .post(&format!("/later?status={status}"), &[], "{}")
            .await;
        assert_eq!(answer.0, 202, "{answer:?}");
        let id = event_id(&answer);
        let shown = eventually("the event is dead", || async {
            let shown = node.ask(&format!("/api/v1/events/{id}")).await;
            (shown["deliveries"][0]["state"] == "dead").then_some(shown)
        })
        .await;
        let delivery = &shown["deliveries"][0];
        assert_eq!(
            (&delivery["attempt"], &delivery["reason"]),
            (&json!(attempt), &json!(reason)),
            "{status}"
        );

        // Who waits gets the response of a rejection. What is retried was accepted.
        let answer = node.post(&format!("/now?status={status}"), &[], "{}").await;
        assert_eq!(answer.0, answered, "{status}: {answer:?}");
    }
    node.until_states("now", &["dead"; 4]).await;
}

#[tokio::test]
async fn ok_is_done_whatever_its_status() {
    let setup = Setup::new().hook(
        "later",
        &guest("replies"),
        &format!("mode = \"async\"\n{OPEN}"),
    );
    let node = setup.serving("later").await;
    for status in ["302", "404", "503"] {
        let answer = node.post("/later", &[("x-status", status)], "{}").await;
        assert_eq!(answer.0, 202, "{answer:?}");
    }
    node.until_states("later", &["done"; 3]).await;
    node.until_log("no caller waits for the handler's reply")
        .await;
}

#[tokio::test]
async fn rejections_reach_callers_that_wait() {
    let setup = ["sync", "auto"]
        .into_iter()
        .fold(Setup::new(), |setup, mode| {
            let file = format!("mode = \"{mode}\"\nanswer_within = \"30s\"\n{OPEN}");
            setup.hook(mode, &guest("contract_cases"), &file)
        });
    let node = setup.serving("sync").await;
    node.until("auto", "serving").await;

    for hook in ["sync", "auto"] {
        let send = |case: &str| {
            let body = json!({ "case": case }).to_string();
            let (node, path) = (&node, format!("/{hook}"));
            async move { node.post(&path, &[], body).await }
        };
        let with_reply = send("reject-reply").await;
        assert_eq!(with_reply.0, 409, "{hook}: {with_reply:?}");
        let reply: serde_json::Value = serde_json::from_str(&with_reply.1).unwrap();
        assert_eq!(reply, json!({ "error": "conflict" }));

        let without = send("reject").await;
        assert_eq!(without.0, 422, "{hook}: {without:?}");
        assert!(!without.1.contains("on purpose"), "{hook}: {without:?}");
        node.until_states(hook, &["dead", "dead"]).await;

        let (status, body) = send("none").await;
        assert_eq!(status, 202, "{hook}: the accepted answer: {body}");

        // In mode sync nothing is queued: the sender tries again.
        let (status, body) = send("defer").await;
        let expected = if hook == "sync" { 503 } else { 202 };
        assert_eq!(status, expected, "{hook}: {body}");
    }
}
