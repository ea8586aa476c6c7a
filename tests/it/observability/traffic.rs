//! A node with known traffic.

use std::io::Write;
use std::process::Stdio;

use landfall_tests::{Node, Receiver, Setup, bundled, eventually, guest, sign};

use super::scrape::Scrape;
use super::{documented, promtool, said};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const OLD: &str = "canary-old-71";
const NEW: &str = "canary-new-72";

/// A node whose hooks have had the requests that `every_series_has_its_value` expects.
async fn busy_node(receiver: &Receiver) -> Node {
    let url = receiver.url("/canary-path");
    let calls =
        |allow: &str| format!("{OPEN}[settings]\nurl = \"{url}?key=canary-query\"\n{allow}");
    let github = "[verify]\nprovider = \"github\"\nsecret = [\"env:OLD\", \"env:NEW\"]\n";
    let asynchronous = format!("mode = \"async\"\n{OPEN}");
    let same_id = format!("{asynchronous}[dedup]\nid = [{{ header = \"Id\" }}]\n");
    let node = Setup::new()
        .hook("github", &guest("answers_one"), github)
        .hook(
            "calls",
            &guest("calls"),
            &calls(&format!("[allow]\nhttp = [\"{}\"]\n", receiver.url("/"))),
        )
        .hook("denied", &guest("calls"), &calls(""))
        .hook("dead", &guest("rejects"), &asynchronous)
        .hook(
            "again",
            &guest("retries"),
            &format!("{asynchronous}[retry]\nbackoff = {{ first = \"1h\", max = \"1h\" }}\n"),
        )
        .hook("same", &bundled("echo"), &same_id)
        .env("OLD", OLD)
        .env("NEW", NEW)
        .serving("github")
        .await;
    for hook in ["calls", "denied", "dead", "again", "same"] {
        node.until(hook, "serving").await;
    }

    let event = [
        ("x-github-event", "push"),
        ("x-github-delivery", "canary-delivery"),
    ];
    for (secret, status) in [(NEW, 200), (NEW, 200), (OLD, 200), ("canary-wrong", 401)] {
        let signature = sign(secret, b"{}");
        let headers = [&event[..], &[("x-hub-signature-256", signature.as_str())]].concat();
        assert_eq!(node.post("/github", &headers, "{}").await.0, status);
    }
    for status in [200, 201, 503] {
        receiver.answer(status);
        assert_eq!(node.post("/calls", &[], "{}").await.0, 200);
    }
    assert_eq!(node.post("/denied", &[], "{}").await.0, 200);
    for path in ["/dead", "/again"] {
        assert_eq!(node.post(path, &[], "{}").await.0, 202);
    }
    node.until_states("dead", &["dead"]).await;
    for _ in 0..3 {
        let answer = node.post("/same", &[("id", "canary-id")], "{}").await;
        assert_eq!(answer.0, 202);
    }
    node.until_states("same", &["done"]).await;
    assert_eq!(node.post("/canary-nowhere", &[], "{}").await.0, 404);
    node
}

async fn scrape(node: &Node) -> Scrape {
    Scrape::of(node.metrics().await)
}

#[tokio::test]
async fn every_series_has_its_value() {
    let receiver = Receiver::start().await;
    let node = busy_node(&receiver).await;
    let expected = [
        (
            r#"landfall_requests_total{hook="github",outcome="replied",status_class="2xx"}"#,
            3.0,
        ),
        (
            r#"landfall_requests_total{hook="github",outcome="refused",status_class="4xx"}"#,
            1.0,
        ),
        (
            r#"landfall_requests_total{hook="dead",outcome="accepted",status_class="2xx"}"#,
            1.0,
        ),
        (
            r#"landfall_requests_total{hook="-",outcome="refused",status_class="4xx"}"#,
            1.0,
        ),
        (r#"landfall_requests_in_flight{hook="github"}"#, 0.0),
        (
            r#"landfall_request_duration_seconds_count{hook="github"}"#,
            4.0,
        ),
        (
            r#"landfall_verify_duration_seconds_count{hook="github"}"#,
            4.0,
        ),
        (
            r#"landfall_verified_total{hook="github",key="signature#1"}"#,
            1.0,
        ),
        (
            r#"landfall_verified_total{hook="github",key="signature#2"}"#,
            2.0,
        ),
        (
            r#"landfall_refused_total{hook="github",reason="signature_mismatch"}"#,
            1.0,
        ),
        (
            r#"landfall_refused_total{hook="-",reason="unknown_path"}"#,
            1.0,
        ),
        (
            r#"landfall_duplicates_total{hook="same",result="not-run"}"#,
            2.0,
        ),
        (r#"landfall_conflicts_total{hook="same"}"#, 0.0),
        (r#"landfall_queue_wait_seconds_count{hook="dead"}"#, 1.0),
        (
            r#"landfall_attempts_total{hook="github",outcome="done"}"#,
            3.0,
        ),
        (
            r#"landfall_attempts_total{hook="dead",outcome="reject"}"#,
            1.0,
        ),
        (
            r#"landfall_attempts_total{hook="again",outcome="retry"}"#,
            1.0,
        ),
        (
            r#"landfall_attempt_duration_seconds_count{hook="calls"}"#,
            3.0,
        ),
        (
            r#"landfall_attempt_memory_peak_bytes_count{hook="calls"}"#,
            3.0,
        ),
        (r#"landfall_retries_total{hook="again"}"#, 1.0),
        (r#"landfall_retries_total{hook="dead"}"#, 0.0),
        (
            r#"landfall_dead_letters_total{hook="dead",outcome="reject"}"#,
            1.0,
        ),
        (r#"landfall_deliveries{hook="dead",state="dead"}"#, 1.0),
        (r#"landfall_deliveries{hook="again",state="pending"}"#, 1.0),
        (r#"landfall_deliveries{hook="same",state="pending"}"#, 0.0),
        (r#"landfall_queue_oldest_age_seconds{hook="again"}"#, 0.0),
        (
            r#"landfall_outbound_calls_total{hook="calls",host="127.0.0.1",status_class="2xx"}"#,
            2.0,
        ),
        (
            r#"landfall_outbound_calls_total{hook="calls",host="127.0.0.1",status_class="5xx"}"#,
            1.0,
        ),
        (
            r#"landfall_outbound_call_duration_seconds_count{hook="calls",host="127.0.0.1"}"#,
            3.0,
        ),
        (
            r#"landfall_outbound_calls_total{hook="denied",host="other",status_class="none"}"#,
            1.0,
        ),
        (
            r#"landfall_outbound_failed_total{hook="denied",error="denied"}"#,
            1.0,
        ),
        (r#"landfall_hook_state{hook="github",state="serving"}"#, 1.0),
        (r#"landfall_hook_state{hook="github",state="closed"}"#, 0.0),
        (r#"landfall_hook_paused{hook="github"}"#, 0.0),
        (r#"landfall_hook_attempts_running{hook="github"}"#, 0.0),
        (
            r#"landfall_secret_available{hook="github",key="signature#1"}"#,
            1.0,
        ),
        (
            r#"landfall_secret_available{hook="github",key="signature#2"}"#,
            1.0,
        ),
        ("landfall_accepts_events", 1.0),
        ("landfall_attempts_running", 0.0),
    ];
    for (series, value) in expected {
        // Attempts in mode `async`, and the end of one in mode `sync`, may be counted after the answer.
        eventually(&format!("{series} is {value}"), || async {
            let found = scrape(&node).await.value(series);
            (found == Some(value)).then_some(())
        })
        .await;
    }

    let scrape = scrape(&node).await;
    for series in [
        r#"landfall_secret_age_seconds{hook="github",key="signature#1"}"#,
        "landfall_ledger_size_bytes",
        "landfall_disk_free_bytes",
        "landfall_ledger_commit_duration_seconds_count",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        let value = scrape.value(series);
        assert!(
            value.is_some_and(|value| value > 0.0),
            "{series}: {value:?}"
        );
    }
    assert!(!scrape.text.contains("canary"), "{}", scrape.text);
    matches_the_table(&scrape);
    promtool_accepts(&scrape);
}

/// Each metric of a scrape has a row with its type and labels.
fn matches_the_table(scrape: &Scrape) {
    let documented = documented();
    for (metric, kind) in &scrape.kinds {
        let row = documented.get(metric);
        let row = row.unwrap_or_else(|| panic!("{metric} is not in the table"));
        assert_eq!(row.kind, *kind, "{metric}");
        let labels = scrape.labels(metric);
        assert!(
            labels.iter().eq(sorted(&row.labels)),
            "{metric}: {labels:?}, {row:?}"
        );
    }
    assert!(scrape.kinds.len() >= 42, "{:?}", scrape.kinds.keys());
}

fn sorted(labels: &[String]) -> Vec<&String> {
    let mut labels: Vec<&String> = labels.iter().collect();
    labels.sort();
    labels
}

/// Names, units and help follow the rules of Prometheus.
fn promtool_accepts(scrape: &Scrape) {
    let Some(mut promtool) = promtool() else {
        return;
    };
    let mut child = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(scrape.text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = said(&output);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[tokio::test]
async fn removed_hooks_lose_their_series() {
    let node = Setup::new()
        .hook("kept", &guest("answers_one"), OPEN)
        .hook("gone", &guest("answers_one"), OPEN)
        .serving("gone")
        .await;
    node.until("kept", "serving").await;
    for path in ["/kept", "/gone"] {
        assert_eq!(node.post(path, &[], "{}").await.0, 200);
    }
    let of = |name: &str| format!(r#"landfall_attempts_total{{hook="{name}",outcome="done"}}"#);
    for name in ["kept", "gone"] {
        eventually("the attempt is counted", || async {
            scrape(&node).await.value(&of(name))
        })
        .await;
    }

    for ending in ["toml", "wasm"] {
        let file = node.plugins().join(format!("gone.{ending}"));
        std::fs::remove_file(file).unwrap();
    }
    let left = eventually("no series of the hook is left", || async {
        let scrape = scrape(&node).await;
        (!scrape.text.contains("\"gone\"")).then_some(scrape)
    })
    .await;
    assert_eq!(left.value(&of("kept")), Some(1.0));

    node.put(
        "kept.toml",
        format!("mode = \"sync\"\nconcurrency = 3\n{OPEN}"),
    );
    let reloaded = eventually("the hook is loaded again", || async {
        let scrape = scrape(&node).await;
        let limit = scrape.value(r#"landfall_hook_concurrency_limit{hook="kept"}"#);
        (limit == Some(3.0)).then_some(scrape)
    })
    .await;
    assert_eq!(
        reloaded.value(&of("kept")),
        Some(1.0),
        "a new version goes on counting"
    );
}

#[tokio::test]
async fn requests_in_flight_count() {
    let receiver = Receiver::start().await;
    receiver.hold();
    let hook = receiver.hook_of_waits("");
    let node = Setup::new()
        .hook("waits", &guest("waits"), &hook)
        .serving("waits")
        .await;
    let (client, url) = (node.client.clone(), node.url("/waits"));
    let request = tokio::spawn(async move { client.post(url).body("{}").send().await });
    receiver.until_called(1).await;
    for series in [
        r#"landfall_requests_in_flight{hook="waits"}"#,
        r#"landfall_hook_attempts_running{hook="waits"}"#,
    ] {
        assert_eq!(scrape(&node).await.value(series), Some(1.0), "{series}");
    }

    receiver.release();
    request.await.unwrap().unwrap();
    let in_flight = r#"landfall_requests_in_flight{hook="waits"}"#;
    eventually("no request is in flight", || async {
        (scrape(&node).await.value(in_flight) == Some(0.0)).then_some(())
    })
    .await;
}
