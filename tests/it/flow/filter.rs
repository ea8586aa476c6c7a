//! `[filter]`: an event that does not fulfil its conditions is stored, and does not run.

use landfall_tests::{Setup, bundled, event_id};
use serde_json::json;

use super::{OPEN, STORE, seen, send, setup};

const EVEN: &str = "[filter]\nwhen = [{ json = \"/key\", equals = \"k0\" }]\n";

#[tokio::test]
async fn filtered_events_do_not_run() {
    let node = setup(EVEN).serving("in").await;
    send(&node, [0, 1, 2]).await;
    let all = node.until_states("in", &["done", "filtered", "done"]).await;
    assert_eq!(all[1]["reason"], "json /key is \"k1\"");
    assert_eq!(all[1]["attempt"], 0);
    assert_eq!(seen(&node).await, [0, 2]);

    // A duplicate of a filtered event is a duplicate.
    send(&node, [1]).await;
    let all = node.until_states("in", &["done", "filtered", "done"]).await;
    assert_eq!(all[1]["duplicates"], 1);

    // It is counted and found, and is no failure.
    let stats = node.ask("/api/v1/stats").await;
    let count = |state: &str| {
        let all = stats.as_array().unwrap().iter();
        all.filter(|one| one["state"] == state)
            .map(|one| one["deliveries"].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!(
        (count("filtered"), count("done"), count("dead")),
        (1, 2, 0),
        "{stats}"
    );
    assert_eq!(node.events("state=filtered").await.len(), 1);
    assert!(
        node.metrics()
            .await
            .contains("landfall_flow_total{hook=\"in\",step=\"filtered\"} 1")
    );
    let hook = node.hook("in").await.unwrap();
    assert_eq!(hook["flow"], json!(["filter on json /key"]));
    let explain = node.command().args(["explain", "in"]).output().unwrap();
    let said = String::from_utf8_lossy(&explain.stdout);
    assert!(said.contains("json /key is \"k1\""), "{said}");
}

#[tokio::test]
async fn a_replay_passes_the_filter() {
    let node = setup(EVEN).serving("in").await;
    let answer = node.post("/in", &[("id", "1")], "{\"n\":1}").await;
    node.until_states("in", &["filtered"]).await;
    let order = json!({ "events": [event_id(&answer)] });
    assert_eq!(node.order("/api/v1/replay", order).await["events"], 1);
    node.until_states("in", &["filtered", "done"]).await;
    assert_eq!(seen(&node).await, [1]);
}

#[tokio::test]
async fn unreadable_bodies_run() {
    let file = format!("{OPEN}{EVEN}");
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .serving("in")
        .await;
    assert_eq!(node.post("/in", &[], "{\"key\":").await.0, 202);
    node.until_states("in", &["done"]).await;
    node.until_log("the filter cannot decide").await;
}

#[tokio::test]
async fn mode_sync_answers_as_accepted() {
    let file = format!("mode = \"sync\"\n[verify]\nscheme = \"none\"\n{EVEN}");
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .serving("in")
        .await;
    assert_eq!(node.post("/in", &[], "{\"key\":\"k0\"}").await.0, 200);
    let answer = node.post("/in", &[], "{\"key\":\"k1\"}").await;
    assert_eq!(answer.0, 202, "{answer:?}");
    let filtered = node.events("state=filtered").await;
    assert_eq!(filtered[0]["event"], event_id(&answer));
}

#[tokio::test]
async fn emitted_events_are_filtered() {
    let filter = "[settings]\nhooks = [\"in\"]\nwhen = [{ field = \"method\", equals = \"POST\" }]\n[allow]\nemit = [\"in\"]\n";
    let node = setup(EVEN)
        .hook("from", &bundled("filter"), &format!("{OPEN}{filter}"))
        .serving("in")
        .await;
    node.until("from", "serving").await;
    for n in [2, 3] {
        let body = format!("{{\"n\":{n},\"key\":\"k{}\"}}", n % 2);
        assert_eq!(node.post("/from", &[], body).await.0, 202);
        node.until_states("from", &["done", "done"][..n - 1]).await;
    }
    node.until_states("in", &["done", "filtered"]).await;
    assert_eq!(seen(&node).await, [2]);
}

#[tokio::test]
async fn mistakes_are_found_at_load() {
    let node = setup("").serving("in").await;
    for (file, why) in [
        ("[filter]\nwhen = []\n", "an empty list filters nothing"),
        (
            "[filter]\nwhen = [{ json = \"/a\" }]\n",
            "a condition has one of equals, starts_with and exists",
        ),
        ("[debounce]\n", "missing field `wait`"),
        (
            "[debounce]\nwait = \"2s\"\nmaximum = \"1s\"\n",
            "maximum is shorter than wait",
        ),
        (
            "[debounce]\nwait = \"2s\"\nkey = { claim = \"/sub\" }\n",
            "is read from a token",
        ),
        (
            "[batch]\ncount = 0\ntime = \"1s\"\n",
            "count 0 is out of range: 1 to 1000",
        ),
        (
            "[transform]\nbody = \"{{ event.\"\n",
            "this is not a template",
        ),
        (
            "[transform]\nbody = \"{{ event.id | nope }}\"\n",
            "unknown filter",
        ),
    ] {
        node.put("in.toml", format!("{OPEN}{STORE}{file}"));
        let status = landfall_tests::eventually(why, || async {
            let hook = node.hook("in").await?;
            hook["problem"].as_str()?.contains(why).then_some(hook)
        })
        .await;
        assert!(
            status["problem"].as_str().unwrap().contains("in.toml"),
            "{status}"
        );
    }
    for table in [
        "[debounce]\nwait = \"1s\"\n",
        "[batch]\ncount = 2\ntime = \"1s\"\n",
    ] {
        let file = format!("mode = \"sync\"\n[verify]\nscheme = \"none\"\n{table}");
        node.put("in.toml", file);
        landfall_tests::eventually("mode sync is refused", || async {
            let hook = node.hook("in").await?;
            let why = "the caller of mode = \"sync\" waits";
            hook["problem"].as_str()?.contains(why).then_some(())
        })
        .await;
    }
}
