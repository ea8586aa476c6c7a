//! Both ledgers answer alike: the audit record, key-value pairs, and activity over time.

use landfall_tests::{Setup, event_id, eventually, guest};
use serde_json::{Value, json};

use super::OPEN;

fn setups() -> Vec<Setup> {
    let mut setups = vec![Setup::new()];
    setups.extend(Setup::new().on_postgres());
    setups
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ledgers_answer_alike() {
    for setup in setups() {
        let node = setup
            .hook(
                "keeps",
                &guest("keeps"),
                &format!("mode = \"async\"\n{OPEN}[allow]\nkv = true\n[retry]\nattempts = 1\n"),
            )
            .serving("keeps")
            .await;
        let answer = node.post("/keeps?a1=one&b=two&a2=three", &[], "").await;
        let event = event_id(&answer);
        node.post("/keeps?a1=x!trap", &[], "").await;
        node.until_states("keeps", &["done", "dead"]).await;

        node.order("/api/v1/hooks/keeps/pause", json!({})).await;
        node.order(
            "/api/v1/replay",
            json!({ "hook": "keeps", "dry_run": true }),
        )
        .await;
        let page = node.ask("/api/v1/audit?hook=keeps&limit=1").await;
        assert_eq!(page["entries"][0]["action"], "pause", "{page}");
        assert_eq!(page["entries"][0]["result"]["paused"], true, "{page}");
        let before = page["next"].as_i64().expect("a full page has a cursor");
        let rest = node.ask(&format!("/api/v1/audit?before={before}")).await;
        assert_eq!(
            (&rest["entries"], &rest["next"]),
            (&json!([]), &Value::Null)
        );
        let later = node.ask("/api/v1/audit?until=1h&action=pause").await;
        assert_eq!(later["entries"], json!([]), "nothing is that old");

        let values = node.ask("/api/v1/kv/keeps?prefix=a").await;
        let found: Vec<(&Value, &Value, &Value)> = values["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (&one["key"], &one["text"], &one["bytes"]))
            .collect();
        let expected = [
            (&json!("a1"), &json!("one"), &json!(3)),
            (&json!("a2"), &json!("three"), &json!(5)),
        ];
        assert_eq!(found, expected, "{values}");

        let timing = &node.ask(&format!("/api/v1/events/{event}")).await["timing"];
        let ms = |name: &str| timing[name].as_f64();
        assert!(ms("verify_ms").is_some_and(|ms| ms > 0.0), "{timing}");
        assert!(ms("stored_ms") >= ms("verify_ms"), "{timing}");

        let activity = node
            .ask("/api/v1/stats/activity?hook=keeps&buckets=1")
            .await;
        let hook = &activity["hooks"][0];
        assert_eq!(hook["requests"], json!([2]), "{activity}");
        assert_eq!(hook["attempts"], json!([2]), "{activity}");
        assert_eq!(hook["failures"], json!([1]), "{activity}");
        assert_eq!(activity["truncated"], false, "{activity}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_failures_are_no_dead_letters() {
    for setup in setups() {
        let hook = |mode: &str| format!("mode = \"{mode}\"\n{OPEN}[retry]\nattempts = 1\n");
        let node = setup
            .hook("told", &guest("traps"), &hook("sync"))
            .hook("kept", &guest("traps"), &hook("async"))
            .serving("told")
            .await;
        node.until("kept", "serving").await;
        assert_eq!(node.post("/told", &[], "").await.0, 500);
        node.post("/kept", &[], "").await;
        for name in ["told", "kept"] {
            node.until_states(name, &["dead"]).await;
        }

        let dead = async |name: &str| {
            let detail = node.ask(&format!("/api/v1/hooks/{name}")).await;
            detail["status"]["queue"]["dead"].clone()
        };
        assert_eq!(
            (dead("told").await, dead("kept").await),
            (json!(0), json!(1))
        );
        let series = |hook: &str| format!("landfall_dead_letters_total{{hook=\"{hook}\"");
        let metrics = eventually("the dead letter is counted", || async {
            let metrics = node.metrics().await;
            metrics.contains(&series("kept")).then_some(metrics)
        })
        .await;
        assert!(!metrics.contains(&series("told")), "{metrics}");

        let event = node.deliveries("told").await[0]["event"].clone();
        let replayed = node
            .order("/api/v1/replay", json!({ "events": [event] }))
            .await;
        assert_eq!(replayed["events"], 1, "it can be replayed");
        eventually("the replay is a dead letter", || async {
            (dead("told").await == 1).then_some(())
        })
        .await;
    }
}
