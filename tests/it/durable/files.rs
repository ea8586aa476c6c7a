//! Ledger files that are damaged, lost, replaced or readable by others.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_tests::faults::{Random, rounds};
use landfall_tests::{Setup, bundled, event_id, eventually};
use serde_json::{Value, json};

use super::{listed, load, load_one, numbers, run, store};

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
            node.order("/api/v1/hooks/store/pause", json!({})).await;
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
            node.try_order("/api/v1/hooks/store/resume", json!({}))
                .await;
            let all = node.try_ask("/api/v1/events?after=0&limit=1000").await;
            match all.as_ref().and_then(|page| page["events"].as_array()) {
                Some(all) if all.iter().all(is_over) => break Some(all.clone()),
                _ if node.has_ended() || until < Instant::now() => break None,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let Some(all) = all else {
            // The last lines of a node that has ended may still be on their way.
            eventually(&format!("{what}: stuck\n{}", node.log()), || async {
                let log = node.log();
                (log.contains("corrupt") || log.contains("damaged")).then_some(())
            })
            .await;
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

fn is_over(one: &Value) -> bool {
    one["state"] == "done" || one["state"] == "dead"
}

/// 200 events wait, and the database is emptied or removed: nothing starts over them.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_is_never_recreated() {
    let setup = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .env("LANDFALL_LEDGER_RESERVE", "0B");
    let node = Arc::new(setup.serving("store").await);
    node.order("/api/v1/hooks/store/pause", json!({})).await;
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
    node.order("/api/v1/hooks/store/resume", json!({})).await;
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
        node.until_log(&format!("{name} {why} while the node was running"))
            .await;

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

/// Another program cuts or overwrites a file of the ledger in place while events wait.
#[tokio::test(flavor = "multi_thread")]
async fn cut_ledger_files_end_the_node() {
    for (name, is_cut, refused) in [
        ("ledger.db-wal", true, "can be read"),
        ("ledger.db", true, "ledger.db is empty"),
        ("ledger.db", false, "is a backup"),
    ] {
        let setup = Setup::new()
            .hook("store", &bundled("store"), &store("async"))
            .env("LANDFALL_LEDGER_RESERVE", "0B");
        let node = Arc::new(setup.serving("store").await);
        node.order("/api/v1/hooks/store/pause", json!({})).await;
        assert_eq!(load(&node, 0..30, 2).await.len(), 30);

        let (data, file) = (node.data(), node.data().join(name));
        if is_cut {
            let file = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
            file.set_len(0).unwrap();
            let later = load(&node, 100..140, 4).await;
            assert!(later.is_empty(), "{name}: acknowledged and lost: {later:?}");
        } else {
            let backup = data.with_file_name("backup.db");
            let done = run(&["backup", backup.to_str().unwrap()], &data);
            assert!(done.status.success(), "{done:?}");
            std::fs::copy(&backup, &file).unwrap();
        }

        let mut node = Arc::into_inner(node).expect("the callers are gone");
        assert_eq!(
            node.ended().await.code(),
            Some(70),
            "{name}\n{}",
            node.log()
        );
        let log = node.log();
        let (cut, corrupt) = (format!("{name} was cut"), "the ledger is corrupt");
        let overwritten = format!("{name} was overwritten");
        // A copy cuts the file before it writes, and a query may find the foreign pages first.
        let is_named =
            log.contains(&cut) || !is_cut && (log.contains(&overwritten) || log.contains(corrupt));
        assert!(is_named, "{log}");
        let log = node.killed().refusal().await;
        assert!(log.contains(refused), "{log}");
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
    // Which of the ledger's files is missed first depends on the order in which the directory was
    // emptied.
    assert!(
        log.contains("was removed while the node was running") && !log.contains("disk is full"),
        "{log}"
    );
}

/// Bodies and headers of requests are for the node's user alone.
#[tokio::test(flavor = "multi_thread")]
async fn other_users_cannot_read_the_ledger() {
    let node = Setup::new()
        .compiles()
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

fn modes(dir: &Path) -> Vec<(String, u32)> {
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
