//! Requests to the admin API whose queries have random changes.

use landfall_tests::changes::change;
use landfall_tests::faults::{Random, rounds};
use landfall_tests::{Setup, bundled, event_id};

use super::{OPEN, send};

const QUERIES: [&str; 16] = [
    "events?hook=q&state=done&after=0&limit=10",
    "events?since=1h&until=2026-01-31T08:15:30Z&before=9",
    "events?deliveries=1,2,3&limit=1000",
    "events?header=content-type: application/json&type=push",
    "events?value=/n=1&text=n&delivery_id=7",
    "events?reason=timeout&outcome=done&slower=2s",
    "hooks?queue=true",
    "hooks/q",
    "stats?hook=q",
    "stats/activity?since=10m&until=1m&buckets=10&hook=q",
    "rows/q/t?limit=10&after=0",
    "kv/q?prefix=a&limit=10",
    "refusals?hook=q&limit=5",
    "audit?since=1h&limit=10",
    "events/EVENT",
    "events/EVENT/attempts",
];

/// Visible characters, and every other byte as `%XX`.
fn encode(query: &[u8]) -> String {
    let mut text = String::new();
    for byte in query {
        if byte.is_ascii_graphic() {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_queries_cause_no_error() {
    let hook_file = format!("{OPEN}[settings]\ntable = \"t\"\n[allow]\ntable = [\"t\"]\n");
    let hook_file = format!("mode = \"async\"\n{hook_file}");
    let node = Setup::new()
        .hook("q", &bundled("store"), &hook_file)
        .serving("q")
        .await;
    let event = event_id(&node.post("/q", &[], "{\"n\":1}").await);
    node.until_states("q", &["done"]).await;
    let (token, mut random) = (node.admin_token(), Random::seeded());

    for _ in 0..rounds(600, 50_000) {
        let seed = QUERIES[random.below(QUERIES.len())].replace("EVENT", &event);
        let other = QUERIES[random.below(QUERIES.len())];
        let query = encode(&change(seed.as_bytes(), other.as_bytes(), &mut random));
        let request = format!(
            "GET /api/v1/{query} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );

        let status = send(node.admin, request.as_bytes()).await;
        // 503: the ledger cannot answer now, on a busy machine.
        let is_answered = status.is_some_and(|status| status < 500 || status == 503);
        assert!(is_answered, "{status:?}: {query}\n{}", node.log());
    }
    assert!(node.hook("q").await.is_some());
}
