//! Disks that are full, read-only or slow, and the size of the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_tests::faults::faults;
use landfall_tests::{Receiver, Setup, bundled, eventually, guest};
use serde_json::json;

use super::{OPEN, load, load_one, numbers, numbers_of_all, store};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_recovers_by_itself() {
    let receiver = Receiver::start().await;
    receiver.hold();
    let slow = receiver.hook_of_waits("mode = \"async\"\n");
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .hook("slow", &guest("waits"), &slow);
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
    receiver.until_called(1).await;
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
    assert_eq!(node.readyz().await, 503);
    assert_eq!(
        node.post("/store", &[("id", "again")], "{\"n\":1}").await.0,
        503
    );
    assert!(node.deliveries("store").await.len() >= 20, "reads go on");
    // The reserve is enough for what runs to end.
    receiver.release();
    node.until_states("slow", &["done"]).await;
    node.until_log("the disk is full: the reserve is used")
        .await;
    std::fs::remove_file(&filler).unwrap();
    eventually("events are accepted again", || async {
        (node.readyz().await == 200).then_some(())
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
    let refused = (
        node.readyz().await,
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
        (node.readyz().await == 200).then_some(())
    })
    .await;
    acknowledged.extend(load(&node, 0..60, 4).await);
    assert_eq!(acknowledged.len(), 60, "{}", node.log());
    eventually("all are stored", || async {
        (numbers(&node).await.len() == 60).then_some(())
    })
    .await;
}

/// A process that is ended while its disk is full comes up again, gives up the reserve, and ends
/// what it had begun.
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
    node.order("/api/v1/hooks/store/pause", json!({})).await;
    assert_eq!(load_one(&node, 2).await, 202);
    fill(&node.data().join("filler"));
    let node = node.killed().serving("store").await;
    node.until_log("the reserve is used").await;
    assert_eq!(load_one(&node, 3).await, 503);
    node.order("/api/v1/hooks/store/resume", json!({})).await;
    std::fs::remove_file(node.data().join("filler")).unwrap();
    node.until_states("store", &["done", "done"]).await;
}

/// Takes all the room there is.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
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
        node.events("hook=loud&state=pending&limit=1000")
            .await
            .len()
    };
    eventually("nothing waits", || async {
        (pending().await == 0).then_some(())
    })
    .await;
    node.order("/api/v1/hooks/loud/pause", json!({})).await;
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
    node.order("/api/v1/hooks/loud/resume", json!({})).await;
    eventually("the hook accepts again", || async {
        (node.post("/loud", &[], "x".repeat(100_000)).await.0 == 202).then_some(())
    })
    .await;
}

/// Waiting events of one hook use the whole ledger: the node names the hook until there is room.
#[tokio::test(flavor = "multi_thread")]
async fn full_ledgers_are_not_ready() {
    let file = format!("mode = \"async\"\n{OPEN}");
    let setup = Setup::new()
        .hook("quiet", &guest("answers_one"), &file)
        .hook("loud", &guest("rejects"), &file)
        .env("LANDFALL_LEDGER_MAX_SIZE", "8MiB");
    let node = setup.serving("quiet").await;
    node.until("loud", "serving").await;
    node.order("/api/v1/hooks/loud/pause", json!({})).await;
    let mut waiting = 0;
    while node.post("/loud", &[], "x".repeat(100_000)).await.0 == 202 {
        waiting += 1;
        assert!(waiting < 400, "the bound is not kept");
    }

    let queue = eventually("the node accepts none", || async {
        let queue = node.ask("/api/v1/queue").await;
        (queue["accepts"] == false).then_some(queue)
    })
    .await;
    let named = "hook `loud` uses most";
    assert!(
        queue["refusal"].as_str().unwrap().contains(named),
        "{queue}"
    );
    let ready = || async {
        let url = format!("http://{}/readyz", node.admin);
        let answer = node.client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, why) = ready().await;
    assert!(status == 503 && why.contains(named), "{status} {why}");

    node.order("/api/v1/hooks/loud/resume", json!({})).await;
    eventually("the node is ready again", || async {
        (ready().await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(node.post("/quiet", &[], "x").await.0, 202);
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
    // What was refused may still have been kept: the sender comes again, and is told that it came
    // before.
    eventually("what was accepted is done", || async {
        (numbers(&node).await.len() >= accepted).then_some(())
    })
    .await;
}
