//! Commands of operators on many deliveries: two at a time, interrupted, and as dry runs.

use std::process::Stdio;

use landfall_tests::{Node, Postgres, Setup, event_id, eventually, guest};
use serde_json::{Value, json};

const DEAD_AT_ONCE: &str = "mode = \"async\"\n[verify]\nscheme = \"none\"\n[retry]\nattempts = 1\n";

/// A node whose hook `in` has rejected so many events, and handles all events from now on.
async fn with_dead(setup: Setup, count: usize) -> Node {
    let setup = setup.hook("in", &guest("rejects"), DEAD_AT_ONCE);
    let node = setup.serving("in").await;
    for n in 0..count {
        assert_eq!(node.post("/in", &[], format!("{{\"n\":{n}}}")).await.0, 202);
    }
    until_stats(&node, &[("dead", count)]).await;

    let before = node.hook("in").await.unwrap()["digest"].clone();
    std::fs::copy(guest("answers_one"), node.plugins().join("in.wasm")).unwrap();
    eventually("the new component serves", || async {
        let hook = node.hook("in").await?;
        (hook["digest"] != before && hook["state"] == "serving").then_some(())
    })
    .await;
    node
}

/// Waits until the hook has so many deliveries in each of these states, and none in another.
async fn until_stats(node: &Node, wanted: &[(&str, usize)]) {
    eventually("deliveries are in these states", || async {
        let stats = node.ask("/api/v1/stats").await;
        let stats = stats.as_array()?;
        let is_there = |(state, count): &(&str, usize)| {
            stats
                .iter()
                .any(|one| one["state"] == *state && one["deliveries"] == *count)
        };
        (stats.len() == wanted.len() && wanted.iter().all(is_there)).then_some(())
    })
    .await;
}

fn run(node: &Node, line: &str) -> (Option<i32>, String) {
    let output = node.command().args(line.split(' ')).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into())
}

/// Both kinds of ledger.
fn setups() -> Vec<Setup> {
    let mut setups = vec![Setup::new()];
    setups.extend(Setup::new().on_postgres());
    setups
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_replays_run_once() {
    for setup in setups() {
        // The first command has selected its events when the second one replays them.
        let folder = tempfile::tempdir().unwrap();
        let held = folder.path().join("held");
        let setup = setup.env(
            "FAILPOINTS",
            &format!("selected=1*return({})", held.display()),
        );
        let node = with_dead(setup, 20).await;
        let order = || {
            node.order(
                "/api/v1/replay",
                json!({ "hook": "in", "per_second": 1000 }),
            )
        };
        let slow = order();
        let quick = async {
            eventually("the first command has selected", || async {
                held.exists().then_some(())
            })
            .await;
            let replayed = order().await;
            until_stats(&node, &[("done", 20), ("resolved", 20)]).await;
            std::fs::remove_file(&held).unwrap();
            replayed
        };
        let (slow, quick) = tokio::join!(slow, quick);
        for sum in [&slow, &quick] {
            let all = ["events", "repeated", "waiting"].map(|key| count(sum, key));
            assert_eq!(all.iter().sum::<u64>(), 20, "{slow}\n{quick}");
        }
        assert_eq!(
            count(&slow, "events") + count(&quick, "events"),
            20,
            "{slow}\n{quick}"
        );
        until_stats(&node, &[("done", 20), ("resolved", 20)]).await;
    }
}

fn count(sum: &Value, key: &str) -> u64 {
    sum[key].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_commands_go_on() {
    for setup in setups() {
        let node = with_dead(setup, 30).await;
        let setup = node.killed().env("FAILPOINTS", "replayed=return");
        let node = setup.serving("in").await;
        let (code, said) = run(&node, "events replay --hook in --per-second 1000");
        assert!(
            code == Some(1) && said.contains("stopped after 0 events, and perhaps up to 500 more"),
            "{said}"
        );

        let node = node.killed().env("FAILPOINTS", "").serving("in").await;
        until_stats(&node, &[("done", 30), ("resolved", 30)]).await;
        assert_eq!(
            run(&node, "events replay --hook in"),
            (Some(0), "0 events replayed, 0 wait or run already\n".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_discards_go_on() {
    for setup in setups() {
        let node = with_dead(setup, 30).await;
        let setup = node.killed().env("FAILPOINTS", "stepped=return");
        let node = setup.serving("in").await;
        let line = "events discard --hook in --reason old";
        let (code, said) = run(&node, line);
        assert!(
            code == Some(1) && said.contains("stopped after 0 deliveries"),
            "{said}"
        );

        let node = node.killed().env("FAILPOINTS", "").serving("in").await;
        until_stats(&node, &[("discarded", 30)]).await;
        let (code, said) = run(&node, line);
        assert_eq!((code, &*said), (Some(0), "0 deliveries discarded\n"));
    }
}

/// `kill -9` while the database server executes the node's statement.
#[tokio::test(flavor = "multi_thread")]
async fn discards_of_killed_nodes_stay_whole() {
    const LOCKS: &str = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
        WHERE locktype = 'advisory' AND classid = 4724 AND objid = 1 AND d.datname = current_database() AND granted = ";
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let node = with_dead(Setup::new().env("LANDFALL_LEDGER_URL", &url), 30).await;
    let until_locks = async |count: &str, granted: bool| {
        eventually("the operators' lock", || async {
            let found = server.sql(&database, &format!("{LOCKS}{granted}"));
            (found == count).then_some(())
        })
        .await;
    };

    // Another session has the lock of operators, so that the discard waits inside its statement.
    server.sql(&database, "CREATE TABLE public.released (n integer)");
    let hold = "DO $$ BEGIN PERFORM pg_advisory_xact_lock(4724, 1);
        WHILE NOT EXISTS (SELECT 1 FROM public.released) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$";
    let holder = std::thread::spawn({
        let database = database.clone();
        move || server.sql(&database, hold)
    });
    until_locks("1", true).await;
    let line = "events discard --hook in --reason old";
    let mut command = node.command();
    command.args(line.split(' ')).stderr(Stdio::null());
    let mut discard = command.spawn().unwrap();
    until_locks("1", false).await;
    let setup = node.killed();
    assert!(!discard.wait().unwrap().success());
    server.sql(&database, "INSERT INTO public.released VALUES (1)");
    holder.join().unwrap();
    until_locks("0", true).await;

    let discarded =
        "SELECT count(*) FROM landfall.deliveries WHERE state = 5 AND discarded = 'old'";
    let whole = server.sql(&database, discarded);
    assert!(["0", "30"].contains(&&*whole), "{whole} of 30");
    let node = setup.serving("in").await;
    let (code, said) = run(&node, line);
    assert_eq!(code, Some(0), "{said}");
    until_stats(&node, &[("discarded", 30)]).await;
    assert_eq!(server.sql(&database, discarded), "30");
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_runs_count_what_would_run() {
    for setup in setups() {
        let node = with_dead(setup, 3).await;
        let dead = node.deliveries("in").await;
        let event = |n: usize| dead[n]["event"].as_str().unwrap();
        let discard = json!({ "events": [event(0)], "reason": "old" });
        assert_eq!(
            node.order("/api/v1/discard", discard).await["deliveries"],
            1
        );
        node.order("/api/v1/hooks/in/pause", json!({})).await;
        let order = json!({ "events": [event(1)] });
        assert_eq!(node.order("/api/v1/replay", order).await["events"], 1);

        let unknown = "0192f3a4-5b6c-7d8e-8000-000000000000";
        let counts = |sum: Value| {
            let unknown = sum["unknown"].as_array().unwrap().len();
            (
                [&sum["events"], &sum["waiting"], &sum["discarded"]].map(|n| n.as_u64().unwrap()),
                unknown,
            )
        };
        let mut order = json!({ "events": [event(0), event(1), event(2), unknown] });
        order["dry_run"] = true.into();
        let dry = counts(node.order("/api/v1/replay", order.clone()).await);
        assert_eq!(dry, ([1, 1, 1], 1));
        assert_eq!(
            node.deliveries("in").await.len(),
            4,
            "a dry run changes nothing"
        );
        order["dry_run"] = false.into();
        assert_eq!(counts(node.order("/api/v1/replay", order).await), dry);
    }
}

#[tokio::test]
async fn replays_without_hook_say_so() {
    let node = with_dead(Setup::new(), 1).await;
    let event = node.deliveries("in").await[0]["event"].clone();
    for name in ["in.wasm", "in.toml"] {
        std::fs::remove_file(node.plugins().join(name)).unwrap();
    }
    eventually("the hook is gone", || async {
        node.hook("in").await.is_none().then_some(())
    })
    .await;
    let (code, said) = run(&node, &format!("events replay {}", event.as_str().unwrap()));
    assert_eq!(
        (code, &*said),
        (
            Some(0),
            "1 event replayed, 1 of them wait until their hook exists, 0 wait or run already\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_search_the_whole_ledger() {
    for setup in setups() {
        let node = setup
            .hook("in", &guest("answers_one"), DEAD_AT_ONCE)
            .serving("in")
            .await;
        let oldest = event_id(&node.post("/in", &[], "{\"find\":\"me\"}").await);
        for _ in 0..120 {
            node.post("/in", &[], "{}").await;
        }
        until_stats(&node, &[("done", 121)]).await;
        let page = node.ask("/api/v1/events?limit=5&text=%22me%22").await;
        assert_eq!(
            (&page["scanned"], &page["next"], &page["events"][0]["event"]),
            (&121.into(), &Value::Null, &oldest.as_str().into()),
            "{page}"
        );
        assert!(page["back_to"].is_null(), "everything was searched");
        let page = node.ask("/api/v1/events?limit=5").await;
        assert!(page["next"].is_i64(), "{page}");
        assert_eq!(page["back_to"], page["events"][4]["received_at"], "{page}");
        let (code, said) = run(&node, "events list --outcome done --limit 121");
        assert!(
            code == Some(0) && said.lines().filter(|line| line.contains("done")).count() == 121,
            "{said}"
        );
    }
}

#[tokio::test]
async fn endless_delays_are_refused() {
    let node = Setup::new()
        .hook("in", &guest("answers_one"), "[verify]\nscheme = \"none\"\n")
        .serving("in")
        .await;
    let order = json!({ "hook": "in", "state": "done", "delay_ms": u64::MAX, "limit": 1 });
    let answer = node
        .client
        .post(format!("http://{}/api/v1/replay", node.admin))
        .bearer_auth(node.admin_token())
        .header("content-type", "application/json")
        .body(order.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let text = answer.text().await.unwrap();
    assert!(text.contains("delay_ms is out of range"), "{text}");
}
