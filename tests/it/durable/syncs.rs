//! What a power failure, a failed sync and a failed write leave behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_tests::disk::{Step, cut, steps};
use landfall_tests::faults::{Random, faults, rounds};
use landfall_tests::{Node, Setup, bundled, eventually};
use serde_json::Value;

use super::{listed, load, numbers, store};

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
    let hooks = node.try_ask("/api/v1/hooks").await;
    hooks.is_some_and(|hooks| hooks[0]["state"] == "serving")
}

/// Whether a node that has refused an event ends, which it says first. False: it goes on.
async fn ends(node: &mut Node) -> bool {
    let until = Instant::now() + Duration::from_secs(120);
    while !node.has_ended() {
        let is_failed = node.log().contains("the ledger has failed");
        if !is_failed && is_serving(node).await {
            return false;
        }
        assert!(
            Instant::now() < until,
            "the node neither ends nor serves\n{}",
            node.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

/// Runs a node under load with a fault, then without: every event answered 2xx is done, once. True:
/// the process ended with `code`.
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
    let has_ended = acknowledged.len() < 40 && ends(&mut node).await;
    if has_ended {
        assert_eq!(
            node.ended().await.code(),
            Some(code),
            "{fault}\n{}",
            node.log()
        );
        node.until_log("the ledger has failed").await;
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
