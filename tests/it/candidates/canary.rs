//! Canaries of one node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use landfall_tests::{bundled, component, eventually};

use super::{
    all_reply, canary, order, report, until_phase, until_promoted, until_reply, until_run,
    with_candidate,
};
use crate::watch::scene::MovedClock;

#[tokio::test(flavor = "multi_thread")]
async fn shares_are_honoured() {
    let node = with_candidate(&canary("share = 20\n"), "answers_two")
        .serving("orders")
        .await;
    until_reply(&node, "two").await;
    let mut on_candidate = 0;
    for _ in 0..1000 {
        let (status, reply) = node.post("/orders", &[], "{}").await;
        assert_eq!(status, 200, "{reply}");
        on_candidate += usize::from(reply == "two");
    }
    // Five standard deviations around 200.
    assert!((137..=263).contains(&on_candidate), "{on_candidate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_record_the_digest() {
    let file = format!("mode = \"auto\"\n{}", canary("share = 50\n"));
    let node = with_candidate(&file, "answers_two").serving("orders").await;
    let report = until_phase(&node, "canary").await;
    until_reply(&node, "two").await;
    let (serving, candidate) = (&report["serving"], &report["digest"]);
    assert!(serving.is_string() && candidate.is_string() && serving != candidate);

    let mut seen = [0, 0];
    for _ in 0..30 {
        let (status, reply) = node.post("/orders", &[], "{}").await;
        assert_eq!(status, 200);
        let is_candidate = reply == "two";
        seen[usize::from(is_candidate)] += 1;
        let newest = node.events("hook=orders&limit=1").await;
        let id = newest[0]["event"].as_str().unwrap();
        let attempts = node.ask(&format!("/api/v1/events/{id}/attempts")).await;
        let ran = if is_candidate { candidate } else { serving };
        assert_eq!(&attempts[0]["record"]["component"], ran, "{attempts}");
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_canaries_fail_no_request() {
    let setup = with_candidate(&canary("share = 50\n"), "traps")
        .env("LANDFALL_WATCH_INTERVAL", "100ms")
        .env("LANDFALL_WATCH_DISK", "false");
    let node = Arc::new(setup.serving("orders").await);
    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (node, stop, answered) = (node.clone(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    all_reply(&node, 1, "one").await;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    let rolled_back = until_phase(&node, "rolled-back").await;
    let before = answered.load(Ordering::Relaxed);
    eventually("requests go on", || async {
        (answered.load(Ordering::Relaxed) > before + 100).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }

    let decision = &rolled_back["decisions"][0];
    assert_eq!(decision["decision"], "rolled-back");
    assert_eq!(decision["by"], "rule");
    let metrics = node.metrics().await;
    for series in [
        "landfall_candidate_reruns_total{hook=\"orders\"}",
        "landfall_candidate_attempts_total{hook=\"orders\",outcome=\"trap\"}",
        "landfall_candidate_decisions_total{decision=\"rolled-back\",hook=\"orders\"} 1",
        "landfall_candidate_phase{hook=\"orders\",phase=\"rolled-back\"} 1",
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
    let audit = node.ask("/api/v1/audit?action=rollback").await;
    assert_eq!(audit["entries"][0]["role"], "rule", "{audit}");
    assert_eq!(audit["entries"][0]["result"]["decided"], true, "{audit}");
    node.logged("the log has the decision", |line| {
        line["message"] == "the candidate was rolled back" && line["hook"] == "orders"
    })
    .await;
    eventually("the alarm is open", || async {
        let alarms = node.ask("/api/v1/alarms").await;
        (alarms[0]["alarm"] == "candidate").then_some(())
    })
    .await;
}

/// What a candidate leaves is refused, because the hook may keep no values: its attempts have
/// failed, though the component has returned.
#[tokio::test(flavor = "multi_thread")]
async fn refused_results_are_failures() {
    for mode in ["sync", "auto"] {
        let file = format!(
            "mode = \"{mode}\"\n{}after = \"1s\"\n[allow]\nkv = true\ntable = [\"t\"]\n[limits]\nkv = \"0B\"\n[retry]\nattempts = 1\n",
            canary("share = 50\n")
        );
        let node = with_candidate(&file, "keeps_script")
            .serving("orders")
            .await;
        until_phase(&node, "canary").await;
        let report = eventually(&format!("it is rolled back\n{}", node.log()), || async {
            for _ in 0..20 {
                node.post("/orders", &[], "[[\"set\",\"key\",\"value\"]]")
                    .await;
            }
            let report = report(&node).await;
            assert_ne!(report["phase"], "promoted", "{report}");
            (report["phase"] == "rolled-back").then_some(report)
        })
        .await;
        assert_eq!(report["decisions"][0]["by"], "rule", "{report}");
    }
}

/// A restart forgets nothing, and neither does a directory without the promoted file.
#[tokio::test(flavor = "multi_thread")]
async fn good_canaries_are_promoted() {
    let file = canary("share = 50\nafter = \"1h\"\n");
    let setup = with_candidate(&file, "answers_two");
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = setup.serving("orders").await;
    until_phase(&node, "canary").await;
    until_run(&node, 20).await;
    let waits = report(&node).await;
    assert_eq!(waits["phase"], "canary", "{waits}");
    assert!(
        waits["detail"]
            .as_str()
            .unwrap()
            .ends_with("until it can be promoted"),
        "{waits}"
    );

    // A step of the clock promotes nothing, and neither does a restart after it.
    clock.advance(61).await;
    until_run(&node, 40).await;
    let waits = report(&node).await;
    assert_eq!(waits["phase"], "canary", "{waits}");
    let node = node.killed().serving("orders").await;
    until_run(&node, 20).await;
    let waits = report(&node).await;
    assert_eq!(waits["phase"], "canary", "{waits}");

    node.put("orders.toml", canary("share = 50\nafter = \"1s\"\n"));
    let promoted = until_promoted(&node, &node).await;
    assert_eq!(promoted["decisions"][0]["by"], "rule", "{promoted}");
    until_reply(&node, "two").await;
    eventually("the promoted version serves alone", || async {
        let hook = node.hook("orders").await?;
        (hook["digest"] == promoted["digest"]).then_some(())
    })
    .await;
    all_reply(&node, 50, "two").await;

    let setup = node.killed();
    std::fs::remove_file(setup.plugins().join("new.wasm")).unwrap();
    let node = setup.serving("orders").await;
    all_reply(&node, 20, "two").await;

    let back = order(&node, "rollback").await;
    assert_eq!(back["decisions"][0]["by"], "operator", "{back}");
    until_reply(&node, "one").await;
    node.put("new.wasm", component("answers_two"));
    until_phase(&node, "rolled-back").await;
    let node = node.killed().serving("orders").await;
    until_phase(&node, "rolled-back").await;
    all_reply(&node, 50, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_ends_a_promotion() {
    let node = with_candidate(&canary("share = 50\n"), "answers_two")
        .serving("orders")
        .await;
    until_phase(&node, "canary").await;
    let promoted = order(&node, "promote").await;
    assert_eq!(promoted["serving"], promoted["digest"], "{promoted}");
    all_reply(&node, 20, "two").await;
    node.put("orders.wasm", std::fs::read(bundled("echo")).unwrap());
    eventually("the new file serves", || async {
        let (status, reply) = node.post("/orders", &[], "{}").await;
        (status == 200 && reply != "two").then_some(())
    })
    .await;
    // The older version does not come back by a rule.
    until_phase(&node, "superseded").await;
    let refused = order(&node, "rollback").await;
    assert!(refused["error"].is_string(), "{refused}");
}

/// A version that was rolled back is not tried again; another one in its file is.
#[tokio::test(flavor = "multi_thread")]
async fn only_new_files_are_tried_again() {
    let node = with_candidate(&canary("share = 50\n"), "answers_two")
        .serving("orders")
        .await;
    until_reply(&node, "two").await;
    let back = order(&node, "rollback").await;
    assert_eq!(back["phase"], "rolled-back", "{back}");
    all_reply(&node, 50, "one").await;
    let again = order(&node, "rollback").await;
    assert!(again["error"].is_string(), "{again}");

    node.put("new.wasm", std::fs::read(bundled("echo")).unwrap());
    until_phase(&node, "canary").await;
    node.put("new.wasm", component("answers_two"));
    until_phase(&node, "rolled-back").await;

    // An operator may promote it nevertheless.
    order(&node, "promote").await;
    until_phase(&node, "promoted").await;
    until_reply(&node, "two").await;
    assert_eq!(report(&node).await["candidate_runs"]["runs"], 0);
}

/// A panic of the host in an attempt of the candidate counts as its failure, also if a caller
/// waits.
#[tokio::test(flavor = "multi_thread")]
async fn panics_roll_back_in_every_mode() {
    for mode in ["sync", "async"] {
        let file = format!("mode = \"{mode}\"\n{}", canary("share = 50\n"));
        let node = with_candidate(&file, "answers_two")
            .env("FAILPOINTS", "candidate-runs=panic")
            .serving("orders")
            .await;
        until_phase(&node, "canary").await;
        eventually("the candidate is rolled back", || async {
            for _ in 0..20 {
                node.post("/orders", &[], "{}").await;
            }
            let report = report(&node).await;
            (report["phase"] == "rolled-back").then_some(())
        })
        .await;
        let metrics = node.metrics().await;
        let series = "landfall_candidate_attempts_total{hook=\"orders\",outcome=\"host-fault\"}";
        assert!(metrics.contains(series), "{mode}: {metrics}");
        // Mode async answers 202 without a reply.
        let (status, _) = node.post("/orders", &[], "{}").await;
        assert!((200..300).contains(&status), "{mode}: {status}");
    }
}

/// Attempts that failed on the candidate are run by the serving version.
#[tokio::test(flavor = "multi_thread")]
async fn stored_events_survive_a_failing_canary() {
    let file = format!(
        "mode = \"auto\"\n{}[retry]\nattempts = 2\nbackoff = {{ first = \"50ms\", factor = 1.0, max = \"50ms\", jitter = 0.0 }}\n",
        canary("share = 50\n")
    );
    let node = with_candidate(&file, "traps").serving("orders").await;
    until_phase(&node, "canary").await;
    let mut sent = 0;
    while report(&node).await["phase"] != "rolled-back" {
        assert_eq!(node.post("/orders", &[], "{}").await.0, 200);
        sent += 1;
        assert!(sent < 5_000, "{}", node.log());
    }
    let dead = node.events("hook=orders&state=dead&limit=10").await;
    assert!(dead.is_empty(), "{dead:?}");
}
