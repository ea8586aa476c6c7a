//! Modes `async` and `auto`: accepted fast, run later, tried again, dead, replayed; nothing acknowledged is lost and nothing
//! is stored twice, however the process ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use landfall_tests::{Setup, bundled, event_id, eventually, guest, is_sqlite};
use serde_json::{Value, json};

const OPEN: &str = "\n[verify]\nscheme = \"none\"\n";
const STORE: &str = "\n[settings]\ntable = \"t\"\nfields = { n = \"/n\" }\n[allow]\ntable = [\"t\"]\n[dedup]\nid = { header = \"Id\" }\n";

fn store(mode: &str) -> String {
    format!("mode = \"{mode}\"\n{OPEN}{STORE}")
}

#[tokio::test]
async fn async_answers_before_a_worker_runs() {
    let node = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .serving("store")
        .await;
    let answer = node.post("/store", &[("id", "1")], "{\"n\":1}").await;
    assert_eq!(answer.0, 202, "{answer:?}");
    let done = node.until_states("store", &["done"]).await;
    assert_eq!(
        (&done[0]["event"], &done[0]["attempt"]),
        (&json!(event_id(&answer)), &json!(1))
    );
    let rows = node.rows("store", "t").await;
    assert_eq!(
        (rows.len(), &rows[0]["row"]["n"], &rows[0]["event_id"]),
        (1, &json!(1), &json!(event_id(&answer)))
    );
    let shown = node
        .ask(&format!("/api/events/{}", event_id(&answer)))
        .await;
    assert_eq!(shown["event"]["body"]["text"], "{\"n\":1}");
    assert_eq!(
        (
            &shown["attempts"][0]["outcome"],
            &shown["attempts"][0]["number"]
        ),
        (&json!("done"), &json!(1))
    );
    let metrics = node.metrics().await;
    assert!(
        metrics.contains("landfall_records_dropped_total 0"),
        "{metrics}"
    );
}

#[tokio::test]
async fn duplicates_get_the_first_id() {
    let node = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .serving("store")
        .await;
    let same: Vec<_> = (0..64)
        .map(|_| node.post("/store", &[("id", "7")], "{\"n\":7}"))
        .collect();
    let answers = futures_all(same).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.0 == 202 && event_id(answer) == event_id(&answers[0])),
        "{answers:?}"
    );
    node.until_states("store", &["done"]).await;
    assert_eq!(node.rows("store", "t").await.len(), 1);
}

/// Every answer, the requests side by side.
async fn futures_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in pinned
            .iter_mut()
            .zip(&mut answers)
            .filter(|(_, answer)| answer.is_none())
        {
            if let std::task::Poll::Ready(found) = future.as_mut().poll(context) {
                *answer = Some(found);
            }
        }
        if answers.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

#[tokio::test]
async fn auto_replies_in_time_or_queues() {
    let slow = format!("mode = \"auto\"\nanswer_within = \"3s\"\n{OPEN}[settings]\nms = 9000\n");
    let setup = Setup::new().hook(
        "quick",
        &bundled("echo"),
        &format!("mode = \"auto\"\n{OPEN}"),
    );
    let node = setup
        .hook("slow", &guest("sleeps"), &slow)
        .serving("quick")
        .await;
    node.until("slow", "serving").await;
    let (status, body) = node.post("/quick", &[], "{\"a\":1}").await;
    assert_eq!(status, 200, "{body}");
    assert!(
        !body.contains("accepted"),
        "the handler's own reply: {body}"
    );
    let answer = node.post("/slow", &[], "{}").await;
    assert_eq!(answer.0, 202, "{answer:?}");
    let done = node.until_states("slow", &["done"]).await;
    assert_eq!(
        (&done[0]["event"], &done[0]["attempt"]),
        (&json!(event_id(&answer)), &json!(1))
    );
}

#[tokio::test]
async fn failures_are_retried_then_dead_lettered() {
    let file = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 3\nbackoff = {{ first = \"100ms\", factor = 1.0, max = \"100ms\", jitter = 0.0 }}\n"
    );
    let setup = Setup::new().hook("traps", &guest("traps"), &file);
    let node = setup
        .hook("rejects", &guest("rejects"), &file)
        .serving("traps")
        .await;
    node.until("rejects", "serving").await;
    let answer = node
        .post("/traps", &[("x-hub-signature", "hush")], "{}")
        .await;
    assert_eq!(
        answer.0, 202,
        "the caller is not told of what happens later"
    );
    let dead = node.until_states("traps", &["dead"]).await;
    assert_eq!(dead[0]["attempt"], 3);
    assert!(
        dead[0]["reason"].as_str().unwrap().starts_with("trap: "),
        "{dead:?}"
    );
    let shown = node
        .ask(&format!("/api/events/{}", event_id(&answer)))
        .await;
    let starts: Vec<&str> = shown["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["started_at"].as_str().unwrap())
        .collect();
    assert!(
        starts.len() == 3 && starts[0] < starts[1] && starts[1] < starts[2],
        "{starts:?}"
    );
    assert!(
        !shown.to_string().contains("hush"),
        "signatures are masked: {shown}"
    );
    assert_eq!(node.post("/rejects", &[], "{}").await.0, 202);
    assert_eq!(
        node.until_states("rejects", &["dead"]).await[0]["attempt"],
        1,
        "a rejected event is dead at once"
    );

    let order = json!({ "hook": "traps", "dry_run": true });
    assert_eq!(node.order("/api/replay", order).await["events"], 1);
    assert_eq!(node.deliveries("traps").await.len(), 1);
    let digest = node.hook("traps").await.unwrap()["digest"].clone();
    node.put("traps.wasm", std::fs::read(guest("answers_one")).unwrap());
    node.until_changed("traps", &digest).await;
    assert_eq!(
        node.order("/api/replay", json!({ "events": [event_id(&answer)] }))
            .await["events"],
        1
    );
    let replayed = eventually("the replay is done", || async {
        let all = node.deliveries("traps").await;
        all.into_iter()
            .find(|one| one["replayed"] == true && one["state"] == "done")
    })
    .await;
    assert_eq!(replayed["event"], event_id(&answer));
    assert_eq!(node.deliveries("traps").await.len(), 2);
}

#[tokio::test]
async fn pending_and_running_events_survive_kills() {
    let slow = format!("mode = \"async\"\nconcurrency = 2\n{OPEN}[settings]\nms = 400\n");
    let node = Setup::new()
        .hook("slow", &guest("sleeps"), &slow)
        .serving("slow")
        .await;
    for _ in 0..6 {
        assert_eq!(node.post("/slow", &[], "{}").await.0, 202);
    }
    let node = node.killed().serving("slow").await;
    let done = node.until_states("slow", &["done"; 6]).await;
    assert!(
        done.iter().all(|one| one["attempt"].as_u64().unwrap() <= 2),
        "{done:?}"
    );
}

#[tokio::test]
async fn a_stop_releases_running_events() {
    let slow = format!("mode = \"async\"\n{OPEN}[settings]\nms = 60000\n");
    let setup = Setup::new()
        .hook("slow", &guest("sleeps"), &slow)
        .env("LANDFALL_DRAIN", "500ms");
    let mut node = setup.serving("slow").await;
    assert_eq!(node.post("/slow", &[], "{}").await.0, 202);
    node.until_states("slow", &["running"]).await;
    node.terminate();
    assert!(node.ended().await.success());
    node.logged("it was given back", |line| {
        line["message"]
            .as_str()
            .unwrap_or_default()
            .contains("given back")
    })
    .await;
    let node = node.killed().start().await;
    node.put("slow.wasm", std::fs::read(guest("answers_one")).unwrap());
    let found = eventually("it is run again", || async {
        node.deliveries("slow")
            .await
            .into_iter()
            .find(|one| one["state"] != "pending")
    })
    .await;
    assert_eq!(
        found["attempt"], 1,
        "an attempt that was handed back has not begun"
    );
}

#[tokio::test]
async fn a_full_disk_accepts_nothing() {
    if !is_sqlite() {
        return;
    }
    let setup = Setup::new().hook("store", &bundled("store"), &store("async"));
    let node = setup
        .env("LANDFALL_LEDGER_MIN_FREE_SPACE", "1048576TiB")
        .serving("store")
        .await;
    let (status, body) = node.post("/store", &[("id", "1")], "{\"n\":1}").await;
    assert_eq!((status, body.as_str()), (503, "{\"error\":\"not stored\"}"));
    let ready = node
        .client
        .get(format!("http://{}/readyz", node.admin))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    assert!(node.deliveries("store").await.is_empty());
}

#[tokio::test]
async fn one_order_key_runs_in_order() {
    let file =
        format!("mode = \"async\"\norder_by = {{ json = \"/key\" }}\n{OPEN}[settings]\nms = 150\n");
    let node = Setup::new()
        .hook("slow", &guest("sleeps"), &file)
        .serving("slow")
        .await;
    let mut ids = Vec::new();
    for key in ["a", "a", "b", "a"] {
        let answer = node
            .post("/slow", &[], format!("{{\"key\":\"{key}\"}}"))
            .await;
        ids.push((key, event_id(&answer)));
    }
    node.until_states("slow", &["done"; 4]).await;
    let mut started = BTreeMap::new();
    for (_, id) in &ids {
        let shown = node.ask(&format!("/api/events/{id}")).await;
        let at = shown["attempts"][0]["started_at"]
            .as_str()
            .unwrap()
            .to_owned();
        started.insert(id.clone(), humantime_ms(&at));
    }
    let of_a: Vec<i64> = ids
        .iter()
        .filter(|(key, _)| *key == "a")
        .map(|(_, id)| started[id])
        .collect();
    assert!(
        of_a.windows(2).all(|pair| pair[1] - pair[0] >= 140),
        "one after another: {of_a:?}"
    );
    assert!(
        started[&ids[2].1] < of_a[2],
        "the other key did not wait: {started:?}"
    );
}

/// Milliseconds of the day in an RFC 3339 time.
fn humantime_ms(text: &str) -> i64 {
    let clock = text.split('T').nth(1).unwrap().trim_end_matches('Z');
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) * 1000.0).round() as i64
}

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
        node.order("/api/hooks/store/pause", json!({})).await["paused"],
        true
    );
    assert_eq!(
        node.order("/api/hooks/absent/pause", json!({})).await["error"],
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
    node.order("/api/hooks/store/resume", json!({})).await;
    node.until_states("store", &["done"]).await;
    assert_eq!(
        node.post("/store", &[("id", "2")], "{\"n\":2}").await.0,
        200,
        "the reply again"
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
    let count = node.order("/api/replay", some).await["events"]
        .as_u64()
        .unwrap();
    assert!((1..=8).contains(&count), "{count}");
    let wrong = node
        .order(
            "/api/replay",
            json!({ "hook": "store", "since": "yesterday" }),
        )
        .await;
    assert_eq!(
        wrong["error"],
        "`yesterday` is not a time: write 2026-01-31T08:15:30Z, or 1h for an hour ago"
    );
    let started = Instant::now();
    let order = json!({ "hook": "store", "state": "done", "limit": 6, "per_second": 5 });
    assert_eq!(node.order("/api/replay", order.clone()).await["events"], 6);
    let again = node.order("/api/replay", order).await;
    // The other four, and those of the first six that have ended by then: what waits is not replayed again.
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
async fn a_second_signal_ends_at_once() {
    let slow = format!("mode = \"async\"\n{OPEN}[settings]\nms = 5000\n");
    let mut node = Setup::new()
        .hook("slow", &guest("sleeps"), &slow)
        .serving("slow")
        .await;
    assert_eq!(node.post("/slow", &[], "").await.0, 202);
    node.until_states("slow", &["running"]).await;
    node.terminate();
    node.until_log("asked to stop").await;
    node.terminate();
    assert_eq!(node.ended().await.code(), Some(130));
    let node = node.killed().serving("slow").await;
    node.until_states("slow", &["done"]).await;
}

#[tokio::test]
async fn refusals_without_a_caller_are_failures() {
    let retry = "[retry]\nattempts = 2\nbackoff = { first = \"50ms\", factor = 1.0, max = \"50ms\", jitter = 0.0 }\n";
    let setup = Setup::new()
        .hook(
            "later",
            &guest("replies"),
            &format!("mode = \"async\"\n{OPEN}{retry}"),
        )
        .hook(
            "now",
            &guest("replies"),
            &format!("mode = \"auto\"\nanswer_within = \"30s\"\n{OPEN}{retry}"),
        );
    let node = setup.serving("later").await;
    node.until("now", "serving").await;

    for (status, state, attempt, reason) in [
        (
            "302",
            "dead",
            1,
            "reject: the handler answered 302, a redirect that no caller received",
        ),
        ("404", "dead", 1, "reject: the handler answered 404"),
        ("429", "dead", 2, "retry: the handler answered 429"),
        ("503", "dead", 2, "retry: the handler answered 503"),
    ] {
        let answer = node.post("/later", &[("x-status", status)], "{}").await;
        assert_eq!(answer.0, 202, "{answer:?}");
        let id = event_id(&answer);
        let shown = eventually("the event has ended", || async {
            let shown = node.ask(&format!("/api/events/{id}")).await;
            (shown["deliveries"][0]["state"] == state).then_some(shown)
        })
        .await;
        let delivery = &shown["deliveries"][0];
        assert_eq!(
            (
                &delivery["attempt"],
                delivery["reason"].as_str().unwrap_or("")
            ),
            (&json!(attempt), reason),
            "{status}"
        );

        // Who waits gets the reply, and sends again where it refuses.
        assert_eq!(
            node.post("/now", &[("x-status", status)], "{}")
                .await
                .0
                .to_string(),
            status
        );
    }
    node.until_states("now", &["done"; 4]).await;
}
