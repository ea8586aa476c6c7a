//! A watched node with a clock that a test moves, and every place where an alarm is seen.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use landfall_tests::faults::faults;
use landfall_tests::{Node, Setup, bundled, eventually, landfall};
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};

pub(super) const OPEN: &str = "[verify]\nscheme = \"none\"\n";
/// A look of the node, and some more.
pub(super) const LOOK: Duration = Duration::from_millis(300);
const MINUTE_NANOSECONDS: i64 = 60_000_000_000;

/// The time of day of a node, which it maps into its memory.
pub(crate) struct MovedClock {
    file: File,
    nanoseconds: i64,
}

// === impl MovedClock ===

impl MovedClock {
    pub(crate) fn of(setup: Setup) -> Option<(MovedClock, Setup)> {
        let library = faults()?;
        let path = setup.data().with_file_name("clock");
        std::fs::write(&path, 0_i64.to_le_bytes()).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let clock = MovedClock {
            file,
            nanoseconds: 0,
        };
        let setup = setup
            .env("LD_PRELOAD", library.to_str().unwrap())
            .env("CLOCK", path.to_str().unwrap());
        Some((clock, setup))
    }

    /// Moves the clock, and waits until the node has looked. A step of more than ten minutes would
    /// be no silence.
    pub(crate) async fn advance(&mut self, minutes: i64) {
        self.nanoseconds += minutes * MINUTE_NANOSECONDS;
        self.file
            .write_all_at(&self.nanoseconds.to_le_bytes(), 0)
            .unwrap();
        tokio::time::sleep(LOOK).await;
    }

    /// Moves the clock in small steps until as many alarms are open. A busy node may miss a step.
    pub(super) async fn advance_until(&mut self, node: &Node, count: usize) {
        for _ in 0..100 {
            if alarms(node).await.len() == count {
                return;
            }
            self.advance(5).await;
        }
        panic!(
            "{count} alarms are not open after 500 minutes\n{}",
            node.log()
        );
    }
}

/// A node whose alarms go to the hook `alerts`.
pub(super) fn watched() -> Setup {
    Setup::new()
        .hook(
            "alerts",
            &bundled("echo"),
            &format!("mode = \"async\"\n{OPEN}"),
        )
        .env("LANDFALL_WATCH_TO", "alerts")
        .env("LANDFALL_WATCH_LINK", "https://landfall.example.com")
        .env("LANDFALL_WATCH_INTERVAL", "100ms")
        .env("LANDFALL_WATCH_DISK", "false")
}

pub(super) async fn alarms(node: &Node) -> Vec<Value> {
    match node.ask("/api/v1/alarms").await {
        Value::Array(alarms) => alarms,
        other => panic!("a list: {other}"),
    }
}

/// Waits until exactly this alarm is open; gives it.
pub(super) async fn only_alarm(node: &Node, hook: &str, alarm: &str) -> Value {
    eventually(
        &format!("{alarm} of {hook} is open\n{}", node.log()),
        || async {
            let open = alarms(node).await;
            let is_it = open.len() == 1 && open[0]["hook"] == hook && open[0]["alarm"] == alarm;
            is_it.then(|| open[0].clone())
        },
    )
    .await
}

/// The bodies of the events of `alerts`, oldest first, once there are so many and all are done.
pub(super) async fn told(node: &Node, count: usize) -> Vec<Value> {
    let mut bodies = Vec::new();
    for delivery in node.until_states("alerts", &vec!["done"; count]).await {
        let id = delivery["event"].as_str().unwrap();
        let shown = node.ask(&format!("/api/v1/events/{id}")).await;
        let text = shown["event"]["body"]["text"].as_str().unwrap();
        let body: Value = serde_json::from_str(text).unwrap();
        let attributes = shown["event"]["attributes"].as_array().unwrap();
        for expected in [
            json!(["event-type", body["type"]]),
            json!(["emitted-by", "_watch"]),
        ] {
            assert!(attributes.contains(&expected), "{expected}: {attributes:?}");
        }
        bodies.push(body);
    }
    bodies.sort_by_key(|body| body["at"].as_str().unwrap().to_owned());
    bodies
}

pub(super) async fn gauge(node: &Node, hook: &str, alarm: &str) -> String {
    let start = format!("landfall_alarm_open{{alarm=\"{alarm}\",hook=\"{hook}\"}} ");
    let metrics = node.metrics().await;
    let value = metrics.lines().find_map(|line| line.strip_prefix(&start));
    value
        .unwrap_or_else(|| panic!("{start}: {metrics}"))
        .to_owned()
}

/// The finding `alarms` of `landfall doctor`.
pub(super) fn doctor(node: &Node) -> Value {
    let output = Command::new(landfall())
        .args(["doctor", "--json", "--plugins"])
        .arg(node.plugins())
        .arg("--data")
        .arg(node.data())
        .args(["--admin-listen", &node.admin.to_string()])
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let facts = found["facts"].as_array().unwrap();
    let of_alarms = facts.iter().find(|fact| fact["what"] == "alarms");
    of_alarms.unwrap().clone()
}

/// A page of the dashboard, as a browser that has logged in reads it.
pub(super) async fn page(node: &Node, path: &str) -> String {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let at = format!("http://{}", node.admin);
    let login = client
        .post(format!("{at}/login"))
        .header("origin", &at)
        .body(format!("token={}&next=%2F", node.admin_token()));
    let answer = login.send().await.unwrap();
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let asked = client.get(format!("{at}{path}")).header(COOKIE, cookie);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

/// The alarm is open, and is seen in every place: the API, `/metrics`, `doctor`, the dashboard, and as one event for `alerts`.
/// Gives the event.
pub(super) async fn is_told(node: &Node, hook: &str, alarm: &str) -> Value {
    let open = only_alarm(node, hook, alarm).await;
    assert_eq!(gauge(node, hook, alarm).await, "1");
    let fact = doctor(node);
    assert_eq!(fact["ok"], false);
    let line = fact["lines"][0].as_str().unwrap();
    assert!(
        line.starts_with(&format!("{hook}: {alarm} since")),
        "{fact}"
    );

    let overview = page(node, "/").await;
    let card = format!("id=\"alarm-{hook}-{alarm}\"");
    assert!(overview.contains(&card), "{overview}");

    let event = told(node, 1).await.remove(0);
    assert_eq!(event["type"], "alarm.opened");
    for key in ["hook", "alarm", "since", "sentence", "hint"] {
        assert_eq!(event[key], open[key], "{key}: {event}");
    }
    let link = event["link"].as_str().unwrap();
    let link = link.strip_prefix("https://landfall.example.com").unwrap();
    page(node, link.split('#').next().unwrap()).await;
    event
}

/// The alarm that was told is closed, was told to have closed once, and is seen nowhere.
pub(super) async fn is_over(node: &Node, opened: &Value) {
    let (hook, alarm) = (&opened["hook"], &opened["alarm"]);
    let both = told(node, 2).await;
    assert_eq!(both[0], *opened);
    assert_eq!(both[1]["type"], "alarm.closed");
    for key in ["hook", "alarm", "since", "link"] {
        assert_eq!(both[1][key], opened[key], "{key}: {}", both[1]);
    }
    assert_eq!(alarms(node).await, Vec::<Value>::new());
    let (hook, alarm) = (hook.as_str().unwrap(), alarm.as_str().unwrap());
    assert_eq!(gauge(node, hook, alarm).await, "0");
    assert_eq!(doctor(node)["ok"], true);
    assert!(!page(node, "/").await.contains("id=\"alarms\""));
}
