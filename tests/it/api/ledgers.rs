//! Both ledgers answer alike: the audit record, key-value pairs, and activity over time.

use landfall_tests::{Setup, guest};
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
        node.post("/keeps?a1=one&b=two&a2=three", &[], "").await;
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
