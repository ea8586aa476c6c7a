//! On Google Cloud Run: what its disk cannot keep is refused with the way out, its time-out counts, its logging reads our lines, and a
//! stop is over in time.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::ports::free_port;
use landfall_tests::{Node, Setup, bundled, eventually, guest, is_sqlite, landfall};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn on_cloud_run(setup: Setup) -> Setup {
    setup
        .env("K_SERVICE", "landfall")
        .env("K_REVISION", "landfall-00001-abc")
}

fn hooks() -> Setup {
    let store =
        format!("mode = \"sync\"\n{OPEN}[settings]\ntable = \"t\"\n[allow]\ntable = [\"t\"]\n");
    Setup::new()
        .hook(
            "quick",
            &guest("answers_one"),
            &format!("mode = \"sync\"\n{OPEN}"),
        )
        .hook(
            "later",
            &guest("answers_one"),
            &format!("mode = \"async\"\n{OPEN}"),
        )
        .hook(
            "both",
            &guest("answers_one"),
            &format!("mode = \"auto\"\n{OPEN}"),
        )
        .hook("rows", &bundled("store"), &store)
}

async fn problem(node: &Node, hook: &str) -> String {
    node.until(hook, "unavailable").await["problem"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_in_memory_ledger_is_refused() {
    if !is_sqlite() {
        return;
    }
    let node = on_cloud_run(hooks()).serving("quick").await;
    for hook in ["later", "both"] {
        let why = problem(&node, hook).await;
        for way in [
            "pubsub://… (Pub/Sub)",
            "cloudtasks://… (Cloud Tasks)",
            "postgres://… (Postgres)",
        ] {
            assert!(why.contains(way), "{hook}: {why}");
        }
        assert_eq!(node.post(&format!("/{hook}"), &[], "{}").await.0, 503);
    }
    assert!(
        problem(&node, "rows").await.contains("postgres://"),
        "rows would be lost"
    );
    assert_eq!(
        node.post("/quick", &[], "{}").await.0,
        200,
        "sync needs nothing"
    );
    // The operator can accept the loss of events by a flag.
    let node = on_cloud_run(hooks())
        .arg("--allow-ephemeral-ledger")
        .serving("quick")
        .await;
    for hook in ["later", "rows"] {
        node.until(hook, "serving").await;
    }
    assert_eq!(node.post("/later", &[], "{}").await.0, 202);
    // A queue is enough for events, and a database for everything.
    if let Some(backend) = Backend::start(Kind::PubSub).await {
        let node = on_cloud_run(backend.under(hooks())).serving("later").await;
        node.until("both", "serving").await;
        assert!(problem(&node, "rows").await.contains("postgres://"));
    }
    if let Some(backend) = Backend::start(Kind::Postgres).await {
        let node = on_cloud_run(backend.under(hooks())).serving("later").await;
        node.until("rows", "serving").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shorter_time_out_applies() {
    let slow = format!("mode = \"sync\"\ndeadline = \"20s\"\n{OPEN}[settings]\nms = 15000\n");
    let setup = on_cloud_run(Setup::new().hook("slow", &guest("sleeps"), &slow));
    let node = setup
        .env("LANDFALL_PLATFORM_TIMEOUT", "3s")
        .serving("slow")
        .await;
    node.until_log("the platform ends requests sooner").await;
    // After its own 15 s the handler would answer 200.
    assert_eq!(node.post("/slow", &[], "{}").await.0, 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_carry_severity_and_trace() {
    let setup = Setup::new()
        .hook("quick", &guest("answers_one"), OPEN)
        .hook("traps", &guest("traps"), OPEN)
        .log_format("cloud-logging")
        .env("GOOGLE_CLOUD_PROJECT", "my-project");
    let node = setup.serving("quick").await;
    node.until("traps", "serving").await;
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    for hook in ["/quick", "/traps"] {
        node.post(hook, &[("traceparent", &traceparent)], "{}")
            .await;
    }
    for (hook, severity) in [("quick", "INFO"), ("traps", "WARNING")] {
        let line = node
            .logged("an attempt", |line| {
                line["message"] == "attempt" && line["hook"] == hook
            })
            .await;
        assert_eq!(line["severity"], severity, "{line}");
        assert_eq!(
            line["logging.googleapis.com/trace"],
            format!("projects/my-project/traces/{TRACE}")
        );
        assert_eq!(line["logging.googleapis.com/spanId"], "b7ad6b7169203331");
        assert_eq!(line["logging.googleapis.com/trace_sampled"], true);
        assert!(
            line["time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z')),
            "{line}"
        );
    }
}

/// As the platform starts it: a port, and nothing on the command line.
#[tokio::test(flavor = "multi_thread")]
async fn port_h2c_and_stop_are_honoured() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let slow = format!("mode = \"sync\"\nconcurrency = 1000\n{OPEN}[settings]\nms = 5000\n");
    std::fs::copy(guest("sleeps"), dir.path().join("slow.wasm")).unwrap();
    std::fs::write(dir.path().join("slow.toml"), slow).unwrap();
    let mut command = Command::new(landfall());
    command
        .arg("serve")
        .current_dir(dir.path())
        .stderr(Stdio::piped())
        .env_remove("RUST_BACKTRACE");
    command
        .env("PORT", port.to_string())
        .env("K_SERVICE", "landfall")
        .env("LANDFALL_LIMITS_QUEUE_TIMEOUT", "60s")
        .env("LANDFALL_HTTP2", "true");
    command
        .env("LANDFALL_PLUGINS", dir.path())
        .env("LANDFALL_ADMIN_LISTEN", "127.0.0.1:0");
    let mut child = command
        .env("LANDFALL_DATA", dir.path().join("data"))
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let serving = lines
        .by_ref()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let serving = serving
        .into_iter()
        .find(|line| line["message"] == "serving")
        .expect("it serves");
    assert_eq!(
        (&serving["severity"], &serving["listen"]),
        (&json!("INFO"), &json!(format!("0.0.0.0:{port}")))
    );
    let drained = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    // The first request may come before the bucket with the plugins has been read: it waits for that.
    let url = format!("http://127.0.0.1:{port}/slow");
    let first = client.post(&url).body("{}").send().await.unwrap();
    assert_eq!(
        (first.status().as_u16(), first.version()),
        (200, reqwest::Version::HTTP_2)
    );
    let begun = Instant::now();
    let calls: Vec<_> = (0..80)
        .map(|_| {
            let call = client.post(&url).body("{}");
            tokio::spawn(async move { call.send().await.unwrap().status().as_u16() })
        })
        .collect();
    let token = std::fs::read_to_string(dir.path().join("data/admin-token")).unwrap();
    let queue = format!("http://{}/api/v1/queue", serving["admin"].as_str().unwrap());
    let admin = reqwest::Client::new();
    eventually("all calls have begun", || async {
        let asked = admin.get(&queue).bearer_auth(token.trim()).send();
        let answer: Value = asked.await.ok()?.json().await.ok()?;
        (answer["running"] == 80).then_some(())
    })
    .await;
    let stopped = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    for call in calls {
        assert_eq!(call.await.unwrap(), 200, "what was begun is answered");
    }
    // One after another they would take 400 s.
    assert!(
        begun.elapsed() < Duration::from_secs(200),
        "side by side: {:?}",
        begun.elapsed()
    );
    assert!(child.wait().unwrap().success());
    assert!(
        drained
            .join()
            .unwrap()
            .iter()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
}
