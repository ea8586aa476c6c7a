//! The promise behind a 2xx, against a disk that fails: power cuts, failed syncs and writes, full disks, flipped bits.
//! `LANDFALL_LONG=1` runs many more rounds of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_tests::disk::{Step, cut, steps};
use landfall_tests::faults::{Random, faults, rounds};
use landfall_tests::{Node, Setup, bundled, event_id, eventually, guest, landfall};
use serde_json::{Value, json};

const OPEN: &str = "\n[verify]\nscheme = \"none\"\n";

fn store(mode: &str) -> String {
    format!(
        "mode = \"{mode}\"\n{OPEN}[settings]\ntable = \"t\"\nfields = {{ n = \"/n\" }}\n[allow]\ntable = [\"t\"]\n[dedup]\nid = {{ header = \"Id\" }}\n"
    )
}

fn run(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(landfall());
    command
        .args(arguments)
        .arg("--data")
        .arg(data)
        .env("LANDFALL_LEDGER_RESERVE", "0B")
        .env_remove("RUST_BACKTRACE");
    command.output().expect("the binary starts")
}

/// Every event that the ledger in this directory knows; an error in words where it refuses.
fn listed(data: &Path) -> Result<Vec<Value>, String> {
    let output = run(&["events", "list", "--json", "--limit", "1000"], data);
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The rows of table `t`: how often each `n` was stored.
async fn numbers(node: &Node) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for row in node.rows("store", "t").await {
        assert_eq!(row.get("damaged"), None, "{row}");
        *counts
            .entry(row["row"]["n"].as_u64().expect("a number"))
            .or_default() += 1;
    }
    counts
}

/// Posts numbers from `range` by several callers at once; those that were answered 2xx, with the id of their event.
async fn load(
    node: &Arc<Node>,
    range: std::ops::Range<usize>,
    callers: usize,
) -> BTreeMap<usize, String> {
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (node, range) = (node.clone(), range.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in range.filter(|n| n % callers == caller) {
                    let body = json!({ "n": n, "filler": "x".repeat(n % 7 * 300) }).to_string();
                    if let Some(answer) = node
                        .try_post("/store", &[("id", &n.to_string())], body)
                        .await
                        && (200..300).contains(&answer.0)
                    {
                        acknowledged.push((n, event_id(&answer)));
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for task in tasks {
        all.extend(task.await.expect("a caller does not panic"));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn power_failures_lose_nothing() {
    let Some(library) = faults() else { return };
    let setup = Setup::new().hook("store", &bundled("store"), &store("async"));
    let trace = setup.plugins().with_file_name("trace");
    let data = setup.data();
    let setup = setup
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("TRACE", trace.to_str().unwrap())
        .env("TRACE_DIR", data.to_str().unwrap())
        .env("LANDFALL_LEDGER_RESERVE", "0B");
    let node = Arc::new(setup.serving("store").await);
    let acknowledged = load(&node, 0..600, 8).await;
    assert_eq!(acknowledged.len(), 600);
    eventually("all are done", || async {
        (numbers(&node).await.len() == 600).then_some(())
    })
    .await;
    let steps = steps(&trace);
    let synced = steps
        .iter()
        .filter(|step| matches!(step, Step::Sync(_)))
        .count();
    let rewritten = steps.iter().any(
        |step| matches!(step, Step::Write(name, at, _) if name == "ledger.db" && *at > 200_000),
    );
    assert!(
        synced > 50 && rewritten,
        "the log was written back too: {synced} syncs"
    );
    let told: Vec<(usize, String)> = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| Some((at, id_in(step)?)))
        .collect();
    assert_eq!(told.len(), 600);
    let scratch = tempfile::tempdir().unwrap();
    assert!(
        loses_without_syncs(&steps, &told, scratch.path()),
        "the pretended disk loses too little to prove anything"
    );
    for round in 0..rounds(300, 3000) {
        let mut random = Random::new(round as u64);
        let at = random.below(steps.len()) + 1;
        let dir = scratch.path().join(round.to_string());
        std::fs::create_dir(&dir).unwrap();
        cut(&steps, at, true, &mut random, &dir);
        let promised: BTreeSet<&str> = told
            .iter()
            .filter(|(when, _)| *when < at)
            .map(|(_, id)| id.as_str())
            .collect();
        if promised.is_empty() && !dir.join("ledger.db").exists() {
            continue;
        }
        let found = listed(&dir)
            .unwrap_or_else(|why| panic!("round {round}, step {at} of {}: {why}", steps.len()));
        let found: BTreeSet<&str> = found
            .iter()
            .filter_map(|one| one["event"].as_str())
            .collect();
        let lost: Vec<_> = promised.difference(&found).collect();
        assert!(
            lost.is_empty(),
            "round {round}, step {at}: {} of {} lost",
            lost.len(),
            promised.len()
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

/// Whether a disk that takes no sync seriously loses what was promised.
fn loses_without_syncs(steps: &[Step], told: &[(usize, String)], scratch: &Path) -> bool {
    (0..20).any(|round| {
        let dir = scratch.join(format!("careless-{round}"));
        std::fs::create_dir(&dir).unwrap();
        cut(steps, steps.len(), false, &mut Random::new(round), &dir);
        listed(&dir).map_or(true, |found| found.len() < told.len())
    })
}

/// The id of the event whose acceptance this step told.
fn id_in(step: &Step) -> Option<String> {
    let Step::Answer(bytes) = step else {
        return None;
    };
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let body: Value = serde_json::from_str(body).ok()?;
    head.starts_with("HTTP/1.1 202")
        .then(|| body["event"].as_str().map(str::to_owned))?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_the_process() {
    let Some(library) = faults() else { return };
    let mut fatal = 0;
    for round in 0..rounds(12, 200) {
        // The first few belong to the start: a node that cannot start has acknowledged nothing.
        let (fault, first) = (["sync", "sync-once"][round % 2], 6 + round);
        fatal += usize::from(survives(library, &format!("{fault}:{first}"), 70).await);
    }
    assert!(fatal > 0, "no sync failed while events came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_loses_nothing() {
    let Some(library) = faults() else { return };
    for round in 0..rounds(9, 120) {
        let error = ["ENOSPC", "EROFS", "EIO"][round % 3];
        survives(
            library,
            &format!("write:{}:{error}", 60 + round * 17 % 400),
            70,
        )
        .await;
    }
}

async fn is_serving(node: &Node) -> bool {
    let hooks = node.try_ask("/api/hooks").await;
    hooks.is_some_and(|hooks| hooks[0]["state"] == "serving")
}

/// Runs a node under load with a fault, then without: every event answered 2xx is done, once. True: the process ended
/// with `code`.
async fn survives(library: &Path, fault: &str, code: i32) -> bool {
    let setup = Setup::new().hook("store", &bundled("store"), &store("async"));
    let setup = setup
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("FAULT", fault)
        .env("LANDFALL_LEDGER_RESERVE", "0B");
    let Some(mut node) = setup.try_start().await else {
        return false;
    };
    let until = Instant::now() + Duration::from_secs(120);
    while !node.has_ended() && !is_serving(&node).await {
        assert!(
            Instant::now() < until,
            "{fault}: the hook does not serve\n{}",
            node.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let node = Arc::new(node);
    let acknowledged = load(&node, 0..40, 4).await;
    let mut node = Arc::into_inner(node).expect("the callers are gone");
    // A process takes a moment to end.
    let until = Instant::now() + Duration::from_secs(1);
    while acknowledged.len() < 40 && !node.has_ended() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let has_ended = node.has_ended();
    if has_ended {
        assert_eq!(
            node.ended().await.code(),
            Some(code),
            "{fault}\n{}",
            node.log()
        );
        assert!(
            node.log().contains("the ledger has failed"),
            "{fault}\n{}",
            node.log()
        );
    } else {
        assert!(
            acknowledged.len() < 40 || !fault.starts_with("write"),
            "{fault}: nothing failed"
        );
    }
    let node = node.killed().env("FAULT", "").serving("store").await;
    let stored = eventually(
        &format!("{fault}: what was acknowledged is done\n{}", node.log()),
        || async {
            let stored = numbers(&node).await;
            acknowledged
                .keys()
                .all(|n| stored.contains_key(&(*n as u64)))
                .then_some(stored)
        },
    )
    .await;
    assert!(
        stored.values().all(|count| *count == 1),
        "{fault}: {stored:?}"
    );
    has_ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_recovers_by_itself() {
    let slow = format!("mode = \"async\"\n{OPEN}[settings]\nms = 4000\n");
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .hook("slow", &guest("sleeps"), &slow);
    let Some(setup) = setup.data_of_size("64m") else {
        return;
    };
    let setup = setup
        .env("LANDFALL_LEDGER_MIN_FREE_SPACE", "0B")
        .env("LANDFALL_LEDGER_RESERVE", "8MiB");
    let node = Arc::new(setup.serving("store").await);
    node.until("slow", "serving").await;
    let first = load(&node, 0..20, 4).await;
    assert_eq!(first.len(), 20, "{}", node.log());
    assert_eq!(node.post("/slow", &[], "").await.0, 202);
    let disk = node.data();
    let filler = disk.join("filler");
    fill(&filler);
    // A log that was written back has room of its own: it takes some events until it is used up.
    let (mut kept, mut n) = (first.len(), 1000);
    let refused = loop {
        let response = node
            .client
            .post(node.url("/store"))
            .header("id", n)
            .body(format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(20_000)));
        let response = response.send().await.unwrap();
        if response.status() != 202 {
            break response;
        }
        (kept, n) = (kept + 1, n + 1);
        assert!(n < 6000, "the disk is never full");
    };
    assert_eq!(
        (
            refused.status().as_u16(),
            refused.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "30")
    );
    let ready = || async {
        node.client
            .get(format!("http://{}/readyz", node.admin))
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(ready().await, 503);
    assert_eq!(
        node.post("/store", &[("id", "again")], "{\"n\":1}").await.0,
        503
    );
    assert!(node.deliveries("store").await.len() >= 20, "reads go on");
    // The reserve is enough for what runs to end.
    node.until_states("slow", &["done"]).await;
    node.until_log("the disk is full: the reserve is used")
        .await;
    std::fs::remove_file(&filler).unwrap();
    eventually("events are accepted again", || async {
        (ready().await == 200).then_some(())
    })
    .await;
    assert_eq!(
        node.post("/store", &[("id", "after")], "{\"n\":9999}")
            .await
            .0,
        202
    );
    let stored = eventually("all are stored", || async {
        let stored = numbers_of_all(&node).await;
        (stored.len() == kept + 1).then_some(stored)
    })
    .await;
    assert!(stored.values().all(|count| *count == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_disks_accept_no_events() {
    let Some(library) = faults() else { return };
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .env("LANDFALL_LEDGER_RESERVE", "0B");
    let setup = setup
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("FAULT", "write:400:EROFS:8");
    let node = Arc::new(setup.serving("store").await);
    let mut acknowledged = load(&node, 0..60, 4).await;
    assert!(acknowledged.len() < 60, "{}", node.log());
    let ready = || async {
        node.client
            .get(format!("http://{}/readyz", node.admin))
            .send()
            .await
            .unwrap()
            .status()
    };
    let refused = (
        ready().await.as_u16(),
        node.post("/store", &[("id", "x")], "{\"n\":0}").await.0,
    );
    assert_eq!(refused, (503, 503), "{}", node.log());
    let log = node.log();
    assert!(
        log.contains("the data directory is read only") && !log.contains("the disk is full"),
        "{log}"
    );
    node.deliveries("store").await;
    eventually("the disk takes writes again", || async {
        (ready().await == 200).then_some(())
    })
    .await;
    acknowledged.extend(load(&node, 0..60, 4).await);
    assert_eq!(acknowledged.len(), 60, "{}", node.log());
    eventually("all are stored", || async {
        (numbers(&node).await.len() == 60).then_some(())
    })
    .await;
}

/// A process that is ended while its disk is full comes up again, gives up the reserve, and ends what it had begun.
#[tokio::test(flavor = "multi_thread")]
async fn full_disk_starts_use_the_reserve() {
    let setup = Setup::new().hook("store", &bundled("store"), &store("async"));
    let Some(setup) = setup.data_of_size("40m") else {
        return;
    };
    let setup = setup
        .env("LANDFALL_LEDGER_MIN_FREE_SPACE", "0B")
        .env("LANDFALL_LEDGER_RESERVE", "8MiB");
    let node = setup.serving("store").await;
    assert_eq!(load_one(&node, 1).await, 202);
    node.order("/api/hooks/store/pause", json!({})).await;
    assert_eq!(load_one(&node, 2).await, 202);
    fill(&node.data().join("filler"));
    let node = node.killed().serving("store").await;
    node.until_log("the reserve is used").await;
    assert_eq!(load_one(&node, 3).await, 503);
    node.order("/api/hooks/store/resume", json!({})).await;
    std::fs::remove_file(node.data().join("filler")).unwrap();
    node.until_states("store", &["done", "done"]).await;
}

async fn load_one(node: &Node, n: usize) -> u16 {
    node.post(
        "/store",
        &[("id", &n.to_string())],
        json!({ "n": n }).to_string(),
    )
    .await
    .0
}

/// As `numbers`, of more than one page.
async fn numbers_of_all(node: &Node) -> BTreeMap<u64, usize> {
    let (mut counts, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = node
            .ask(&format!("/api/rows/store/t?limit=1000&after={after}"))
            .await;
        let rows = page.as_array().expect("a list");
        for row in rows {
            *counts
                .entry(row["row"]["n"].as_u64().expect("a number"))
                .or_default() += 1;
        }
        match rows.last() {
            Some(last) if rows.len() == 1000 => after = last["id"].as_i64().expect("an id"),
            _ => return counts,
        }
    }
}

/// Takes all the room there is.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_never_run() {
    const EVENTS: usize = 60;
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .env("LANDFALL_LEDGER_RESERVE", "0B");
    let mut node = setup.serving("store").await;
    let mut bodies = BTreeMap::new();
    // Half of them end up in the database, half stay in its log; most wait.
    for n in 0..EVENTS {
        if n == 10 {
            node.order("/api/hooks/store/pause", json!({})).await;
        }
        if n == EVENTS / 2 {
            node.terminate();
            node.ended().await;
            node = node.killed().serving("store").await;
        }
        let body = json!({ "n": n, "filler": "x".repeat(700) }).to_string();
        bodies.insert(
            event_id(&node.post("/store", &[("id", &n.to_string())], body).await),
            n as u64,
        );
    }
    eventually("some are done", || async {
        (numbers(&node).await.len() == 10).then_some(())
    })
    .await;
    let original = node.killed();
    let (mut refused, mut flagged, mut unharmed) = (0, 0, 0);
    for round in 0..rounds(40, 500) {
        let mut random = Random::new(round as u64);
        let file = ["ledger.db", "ledger.db", "ledger.db-wal"][round % 3];
        let copy = original.copy();
        let path = copy.data().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        // Every third one in the middle of a body.
        let bodies_at: Vec<usize> = bytes
            .windows(64)
            .enumerate()
            .filter(|(_, part)| *part == [b'x'; 64])
            .map(|(at, _)| at)
            .collect();
        let at = if round % 3 == 1 {
            bodies_at[random.below(bodies_at.len())]
        } else {
            random.below(bytes.len())
        };
        bytes[at] ^= 1 << random.below(8);
        std::fs::write(&path, bytes).unwrap();
        let what = format!("round {round}: {file} byte {at}");
        let Some(node) = copy.try_start().await else {
            refused += 1;
            continue;
        };
        let mut node = node;
        let until = Instant::now() + Duration::from_secs(120);
        let all = loop {
            node.try_order("/api/hooks/store/resume", json!({})).await;
            let all = node.try_ask("/api/events?after=0&limit=1000").await;
            let is_over = |one: &Value| one["state"] == "done" || one["state"] == "dead";
            match all.as_ref().and_then(Value::as_array) {
                Some(all) if all.iter().all(is_over) => break Some(all.clone()),
                _ if node.has_ended() || until < Instant::now() => break None,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let Some(all) = all else {
            assert!(
                node.log().contains("corrupt") || node.log().contains("damaged"),
                "{what}: stuck\n{}",
                node.log()
            );
            flagged += 1;
            continue;
        };
        let known: BTreeSet<&str> = all.iter().filter_map(|one| one["event"].as_str()).collect();
        let missing = bodies
            .keys()
            .filter(|id| !known.contains(id.as_str()))
            .count();
        assert_eq!(
            missing,
            0,
            "{what}: events are gone without a word\n{}",
            node.log()
        );
        let dead: Vec<&Value> = all.iter().filter(|one| one["state"] == "dead").collect();
        assert!(
            dead.iter().all(|one| one["reason"] == "corrupt"),
            "{what}: {dead:?}"
        );
        let rows = node.rows("store", "t").await;
        let mut harmed = dead.len();
        for row in &rows {
            if row["damaged"] == true {
                harmed += 1;
                continue;
            }
            let n = bodies
                .get(row["event_id"].as_str().unwrap())
                .unwrap_or_else(|| panic!("{what}: {row}"));
            assert_eq!(
                row["row"]["n"].as_u64(),
                Some(*n),
                "{what}: a wrong payload was run"
            );
        }
        assert_eq!(rows.len() + dead.len(), EVENTS, "{what}\n{}", node.log());
        if harmed > 0 {
            flagged += 1
        } else {
            unharmed += 1
        }
    }
    println!("{refused} refused, {flagged} flagged, {unharmed} without harm");
    assert!(refused > 0 && flagged > 0);
}

/// One hook floods the ledger, then another fills it with events that wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_size_stays_bounded() {
    const MAX_SIZE: u64 = 8 << 20;
    let setup = Setup::new()
        .hook(
            "quiet",
            &guest("answers_one"),
            &format!("mode = \"async\"\n{OPEN}"),
        )
        .hook(
            "loud",
            &guest("rejects"),
            &format!("mode = \"async\"\n{OPEN}"),
        )
        .env("LANDFALL_LEDGER_MAX_SIZE", "8MiB");
    let node = setup.serving("quiet").await;
    node.until("loud", "serving").await;
    for _ in 0..3 {
        assert!(node.post("/quiet", &[], "x".repeat(1000)).await.0 < 300);
    }
    node.until_states("quiet", &["done"; 3]).await;

    let size = || {
        std::fs::metadata(node.data().join("ledger.db"))
            .unwrap()
            .len()
    };
    let mut largest = 0;
    for n in 0..400 {
        let (status, _) = node.post("/loud", &[], "x".repeat(100_000)).await;
        assert_eq!(status, 202, "event {n}: {}", node.log());
        largest = largest.max(size());
    }
    assert!(
        largest < 2 * MAX_SIZE,
        "40 MB came, and the file had {largest} bytes"
    );
    node.until_log("ledger.max_size is reached").await;
    assert!(
        !node
            .metrics()
            .await
            .contains("landfall_ledger_removed_total 0\n"),
        "removals are counted"
    );
    node.until_states("quiet", &["done"; 3]).await;

    // What waits is never removed: when nothing else is left of the hook, it takes no more.
    let pending = async || {
        node.ask("/api/events?hook=loud&state=pending&limit=1000")
            .await
            .as_array()
            .unwrap()
            .len()
    };
    eventually("nothing waits", || async {
        (pending().await == 0).then_some(())
    })
    .await;
    node.order("/api/hooks/loud/pause", json!({})).await;
    let mut waiting = 0;
    while node.post("/loud", &[], "x".repeat(100_000)).await.0 == 202 {
        waiting += 1;
        assert!(waiting < 400, "the bound is not kept");
    }
    node.until_log("the ledger has reached ledger.max_size")
        .await;
    assert!(size() < 2 * MAX_SIZE);
    assert!(
        node.post("/quiet", &[], "x").await.0 < 300,
        "{}",
        node.log()
    );
    node.until_states("quiet", &["done"; 3]).await;
    assert_eq!(pending().await, waiting);
    node.order("/api/hooks/loud/resume", json!({})).await;
    eventually("the hook accepts again", || async {
        (node.post("/loud", &[], "x".repeat(100_000)).await.0 == 202).then_some(())
    })
    .await;
}

/// 200 events wait, and the database is emptied or removed: nothing starts over them.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_is_never_recreated() {
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .env("LANDFALL_LEDGER_RESERVE", "0B");
    let node = Arc::new(setup.serving("store").await);
    node.order("/api/hooks/store/pause", json!({})).await;
    assert_eq!(load(&node, 0..200, 4).await.len(), 200);
    let mut stopped = Arc::into_inner(node)
        .expect("the callers are gone")
        .killed();
    let database = stopped.data().join("ledger.db");
    let whole = std::fs::read(&database).unwrap();
    for is_removed in [false, true] {
        if is_removed {
            std::fs::remove_file(&database)
        } else {
            std::fs::write(&database, "")
        }
        .unwrap();
        let log = stopped.copy().refusal().await;
        let state = if is_removed { "missing" } else { "empty" };
        assert!(
            log.contains(&format!("ledger.db is {state}")) && log.contains("ledger.db-wal has"),
            "{log}"
        );
        let stopped = &mut stopped;
        let refused = listed(&stopped.data()).unwrap_err();
        assert!(
            refused.contains(if is_removed {
                "has no ledger"
            } else {
                "is empty"
            }),
            "{refused}"
        );
    }
    std::fs::write(&database, whole).unwrap();
    assert_eq!(listed(&stopped.data()).unwrap().len(), 200);
    let node = stopped.serving("store").await;
    node.order("/api/hooks/store/resume", json!({})).await;
    eventually("all are stored", || async {
        (numbers(&node).await.len() == 200).then_some(())
    })
    .await;
}

/// The operator removes or replaces a file of the ledger while events come.
#[tokio::test(flavor = "multi_thread")]
async fn removed_ledger_files_end_the_node() {
    for (name, is_replaced) in [
        ("ledger.db", false),
        ("ledger.db", true),
        ("ledger.db-wal", false),
        ("ledger.db-shm", true),
    ] {
        let setup = Setup::new()
            .hook("store", &bundled("store"), &store("async"))
            .env("LANDFALL_LEDGER_RESERVE", "0B");
        let node = Arc::new(setup.serving("store").await);
        let first = load(&node, 0..10, 2).await;
        assert_eq!(first.len(), 10);
        eventually("all are stored", || async {
            (numbers(&node).await.len() == 10).then_some(())
        })
        .await;

        let (data, file) = (node.data(), node.data().join(name));
        let aside = data.join("aside");
        std::fs::rename(&file, &aside).unwrap();
        if is_replaced {
            std::fs::copy(&aside, &file).unwrap();
        }
        let later = load(&node, 100..140, 4).await;
        assert!(later.is_empty(), "{name}: acknowledged and lost: {later:?}");
        let mut node = Arc::into_inner(node).expect("the callers are gone");
        assert_eq!(
            node.ended().await.code(),
            Some(70),
            "{name}\n{}",
            node.log()
        );
        let why = if is_replaced {
            "was replaced"
        } else {
            "was removed"
        };
        assert!(
            node.log()
                .contains(&format!("{name} {why} while the node was running")),
            "{}",
            node.log()
        );

        let stopped = node.killed();
        std::fs::rename(&aside, stopped.data().join(name)).unwrap();
        let node = stopped.serving("store").await;
        let stored = numbers(&node).await;
        assert!(
            (0..10).all(|n| stored.get(&n) == Some(&1)),
            "{name}: {stored:?}"
        );
    }
}

/// It is neither a full disk nor a reason to wait for the next event.
#[tokio::test(flavor = "multi_thread")]
async fn lost_directories_are_no_full_disk() {
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .env("LANDFALL_LEDGER_RESERVE", "0B");
    let mut node = setup.serving("store").await;
    assert_eq!(load_one(&node, 1).await, 202);
    std::fs::remove_dir_all(node.data()).ok();
    let data = node.data();
    assert!(!data.join("ledger.db").exists());
    assert_eq!(node.ended().await.code(), Some(70), "{}", node.log());
    let log = node.log();
    // Which of the ledger's files is missed first depends on the order in which the directory was emptied.
    assert!(
        log.contains("was removed while the node was running") && !log.contains("disk is full"),
        "{log}"
    );
}

/// Bodies and headers of requests are for the node's user alone.
#[tokio::test(flavor = "multi_thread")]
async fn other_users_cannot_read_the_ledger() {
    use std::os::unix::fs::PermissionsExt;
    let modes = |dir: &Path| -> Vec<(String, u32)> {
        let entries = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files = entries
            .filter(|path| path.is_file())
            .chain([dir.to_owned()]);
        let open = files.filter_map(|path| {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            (mode & 0o077 != 0).then(|| (path.display().to_string(), mode))
        });
        open.collect()
    };
    let node = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .serving("store")
        .await;
    assert_eq!(load_one(&node, 1).await, 202);
    assert_eq!(modes(&node.data()), []);
    let cache = node.data().join("compiled");
    assert_eq!(modes(&cache), []);

    // A ledger of before is tightened.
    let data = node.data();
    let stopped = node.killed();
    for path in [
        stopped.data(),
        stopped.data().join("ledger.db"),
        stopped.data().join("ledger.db-wal"),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let node = stopped.serving("store").await;
    assert_eq!(modes(&node.data()), [], "{}", data.display());
    let backup = node.data().with_file_name("backup.db");
    assert!(
        run(&["backup", backup.to_str().unwrap()], &node.data())
            .status
            .success()
    );
    assert_eq!(
        std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// Also one that stops before it writes again.
#[tokio::test(flavor = "multi_thread")]
async fn stopping_nodes_notice_lost_ledgers() {
    let setup = Setup::new().hook("store", &bundled("store"), &store("async"));
    let mut node = setup.serving("store").await;
    assert_eq!(load_one(&node, 1).await, 202);
    node.until_states("store", &["done"]).await;
    std::fs::remove_file(node.data().join("ledger.db")).unwrap();
    node.terminate();
    assert_eq!(node.ended().await.code(), Some(70), "{}", node.log());
    let log = node.killed().refusal().await;
    assert!(log.contains("ledger.db is missing"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_disks_make_callers_retry() {
    let Some(library) = faults() else { return };
    let setup = Setup::new().hook("store", &bundled("store"), &store("async"));
    let setup = setup
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("LANDFALL_LEDGER_RESERVE", "0B");
    let node = Arc::new(setup.env("FAULT", "slow:2000").serving("store").await);
    let before = node.resident_kib();
    let callers: Vec<_> = (0..400)
        .map(|n| {
            let node = node.clone();
            tokio::spawn(async move {
                let (started, body) = (
                    Instant::now(),
                    json!({ "n": n, "filler": "x".repeat(50_000) }).to_string(),
                );
                let (status, _) = node.post("/store", &[("id", &n.to_string())], body).await;
                (status, started.elapsed())
            })
        })
        .collect();
    let (mut accepted, mut refused) = (0, 0);
    for caller in callers {
        let (status, time) = caller.await.unwrap();
        assert!(time < Duration::from_secs(60), "{status} after {time:?}");
        match status {
            202 => accepted += 1,
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(accepted > 0, "{refused} refused");
    assert!(
        node.resident_kib() - before < 200 << 10,
        "{before} KiB before, {} after",
        node.resident_kib()
    );
    // What was refused may still have been kept: the sender comes again, and is told that it came before.
    eventually("what was accepted is done", || async {
        (numbers(&node).await.len() >= accepted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_backup_starts_elsewhere() {
    let slow = format!("mode = \"async\"\n{OPEN}[settings]\nms = 60000\n");
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .hook("slow", &guest("sleeps"), &slow);
    let mut node = setup.serving("store").await;
    node.until("slow", "serving").await;
    for n in 0..5 {
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
    node.until_states("store", &["done"; 5]).await;
    assert_eq!(node.post("/slow", &[], "").await.0, 202);
    let data = node.plugins().with_file_name("data");
    let copy = data.with_file_name("copy.db");
    let said = |output: &Output| {
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let taken = run(&["backup", copy.to_str().unwrap()], &data);
    assert!(
        taken.status.success() && said(&taken).contains("6 events, 1 of them still to be handled"),
        "{}",
        said(&taken)
    );
    let again = run(&["backup", copy.to_str().unwrap()], &data);
    assert!(
        said(&again).contains("is there already: a backup overwrites nothing"),
        "{}",
        said(&again)
    );
    assert!(
        listed(&data)
            .unwrap_err()
            .contains("belongs to another node that is running")
    );
    // What comes after the backup is not in it.
    assert_eq!(
        node.post("/store", &[("id", "late")], "{\"n\":99}").await.0,
        202
    );
    node.until_states("store", &["done"; 6]).await;
    node.terminate();
    node.ended().await;
    let kept = listed(&data).unwrap();
    assert_eq!(kept.len(), 7);
    let first = kept.last().unwrap()["event"].as_str().unwrap().to_owned();
    let replayed = run(&["events", "replay", &first], &data);
    assert!(
        said(&replayed).contains("1 event replayed, 0 wait"),
        "{}",
        said(&replayed)
    );
    let stopped = node.killed();
    let elsewhere = Setup::new().hook("store", &bundled("store"), &store("async"));
    std::fs::create_dir(elsewhere.data()).unwrap();
    std::fs::rename(&copy, elsewhere.data().join("ledger.db")).unwrap();
    let restored = elsewhere.serving("store").await;
    restored.until_log("this ledger is a backup").await;
    assert_eq!(numbers(&restored).await.len(), 5);
    let counts = restored.ask("/api/stats").await;
    let orphans: Vec<&Value> = counts
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["orphaned"] == true)
        .collect();
    assert!(
        orphans.len() == 1 && orphans[0]["hook"] == "slow" && orphans[0]["state"] == "pending",
        "{counts}"
    );
    // A backup of a node that is not running; the replay of before is run at the next start.
    let second = stopped.plugins().with_file_name("second.db");
    assert!(
        run(&["backup", second.to_str().unwrap()], &stopped.data())
            .status
            .success()
    );
    let node = stopped.serving("store").await;
    node.until_states("store", &["done"; 7]).await;
}

/// The time of day jumps; pauses are as long as they were.
#[tokio::test(flavor = "multi_thread")]
async fn clock_jumps_do_not_move_retries() {
    const PAUSE: Duration = Duration::from_millis(1500);
    let Some(library) = faults() else { return };
    let file = format!(
        "mode = \"async\"\n{OPEN}[allow]\nemit = [\"emits\"]\n[retry]\nbackoff = {{ first = \"1500ms\", factor = 1.0, max = \"1500ms\", jitter = 0.0 }}\n"
    );
    let setup = Setup::new().hook("emits", &guest("emits"), &file);
    let clock = setup.data().with_file_name("clock");
    std::fs::write(&clock, 0_i64.to_le_bytes()).unwrap();
    let setup = setup
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("CLOCK", clock.to_str().unwrap());
    let mut node = setup.serving("emits").await;
    // In place: the file is mapped into the node.
    let open = std::fs::OpenOptions::new()
        .write(true)
        .open(&clock)
        .unwrap();
    let hours = |hours: i64| {
        std::os::unix::fs::FileExt::write_all_at(
            &open,
            &(hours * 3_600_000_000_000).to_le_bytes(),
            0,
        )
        .unwrap();
    };
    // Where the clock stands before and after, and whether the node is started anew in between.
    let jumps = [
        (0, 0, false),
        (0, 1, false),
        (1, 0, false),
        (0, -1, true),
        (-1, 1, true),
        (0, 9000, true),
    ];
    for (number, (before, after, is_restarted)) in jumps.into_iter().enumerate() {
        hours(before);
        let posted = Instant::now();
        assert_eq!(node.post("/emits?fail", &[], "").await.0, 200);
        let is_at = |attempt: u64, state: &'static str| {
            let node = &node;
            move || async move {
                let last = node.deliveries("emits").await.pop()?;
                (last["attempt"] == attempt && last["state"] == state).then_some(())
            }
        };
        eventually("the first attempt has failed", is_at(1, "pending")).await;
        let failed = Instant::now();
        hours(after);
        if is_restarted {
            node = node.killed().serving("emits").await;
        }
        let ready = Instant::now();
        let what = format!("jump {number}: {before} h to {after} h");
        let node = &node;
        eventually(&format!("{what}\n{}", node.log()), || async move {
            let all = node.deliveries("emits").await;
            (all.len() == number + 1 && all.last()?["state"] == "done").then_some(())
        })
        .await;
        assert!(
            posted.elapsed() >= PAUSE,
            "{what}: early, {:?}",
            posted.elapsed()
        );
        let late = failed.elapsed().saturating_sub(PAUSE).min(ready.elapsed());
        assert!(late < Duration::from_secs(60), "{what}: {late:?} late");
    }
}
