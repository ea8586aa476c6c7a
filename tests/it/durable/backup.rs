//! Backups of a running node, and jumps of the clock.

use std::process::Output;
use std::time::{Duration, Instant};

use landfall_tests::faults::faults;
use landfall_tests::{Setup, bundled, eventually, guest};
use serde_json::Value;

use super::{OPEN, listed, numbers, run, store};

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
    let counts = restored.ask("/api/v1/stats").await;
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

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The time of day jumps; pauses are as long as they were.
#[tokio::test(flavor = "multi_thread")]
async fn clock_jumps_do_not_move_retries() {
    const PAUSE: Duration = Duration::from_millis(1500);
    let Some(library) = faults() else { return };
    let file = format!(
        "mode = \"async\"\n{OPEN}[allow]\nemit = [\"emits\"]\n[retry]\n\
         backoff = {{ first = \"1500ms\", factor = 1.0, max = \"1500ms\", jitter = 0.0 }}\n"
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
