//! The page of a published try: what differed, as text, and how the component comes to serve.

use landfall_tests::{Browser, Look, Node, event_id};
use serde_json::{Value, json};

use super::looks::check;
use super::node;
use super::requests::{client, get};
use super::roles::reading;

const SCRIPT: &str = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>";

/// A group of differences with a sample of this event.
fn group(event: &str, kind: &str, place: &str, found: &str) -> Value {
    json!({
        "kind": kind, "place": place, "attempts": 2, "allowed": false, "follows": false,
        "sample": { "event": event, "delivery": 1, "attempt": 1, "masked": true, "recorded": "", "found": found },
    })
}

/// Publishes a report of the hook `in`, whose sender has written markup everywhere. The address of
/// its page.
async fn publish(node: &Node) -> String {
    let event = event_id(&node.post("/in", &[], "{}").await);
    node.until_states("in", &["done"]).await;
    let report = json!({
        "hook": "in", "component": "next <b>.wasm", "digest": "0a".repeat(32), "attempts": 3, "same": 1, "allowed": 0,
        "differs": 2, "unanswered": 0, "truncated": 0, "not_run": { SCRIPT: 1 },
        "groups": [
            group(&event, "reply", SCRIPT, &format!("{SCRIPT}\u{202e}\u{1b}[31m")),
            group(&event, "rows", "orders/note", "new"),
            group(&event, "rows", "orders/amount", &"9".repeat(1000)),
        ],
    });
    let published = node.order("/api/v1/hooks/in/publish-try", report).await;
    assert_eq!(published["groups"], 3, "{published}");
    format!("/tries/in/{}", published["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn published_tries_are_shown() {
    let node = node().await;
    let path = publish(&node).await;
    for look in [Look::DESKTOP, Look::PHONE.dark()] {
        let Some(browser) = Browser::start(&node, look).await else {
            return;
        };
        browser.log_in(&node).await;
        browser.goto("/recordings?hook=in").await;
        browser.wait_for_text("2 different").await;
        browser.wait_for_text("--publish").await;
        let mut problems = check(&browser, "tries").await;

        browser.click("a[href^='/tries/in/']").await;
        browser.wait_for("#differences").await;
        assert_eq!(browser.path().await, path);
        for text in [
            "orders/note",
            "2 attempts",
            "Values of this recording are masked",
        ] {
            browser.wait_for_text(text).await;
        }
        assert_eq!(browser.count("article.card").await, 3);
        let command = browser.text("#command").await;
        assert_eq!(
            command.trim(),
            "landfall try 'next <b>.wasm' --hook in --last 3 --promote"
        );

        let pwned = browser.script("return window.pwned === undefined").await;
        assert_eq!(pwned, true);
        assert_eq!(browser.count("main img, main b, main script").await, 0);
        let shown = browser.text("main").await;
        assert!(shown.contains("<script>"), "{shown}");
        for hidden in ['\u{1b}', '\u{202e}'] {
            assert!(!shown.contains(hidden), "{hidden:?}");
        }
        problems.extend(check(&browser, "try").await);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        browser.close().await;
    }
}

#[tokio::test]
async fn readers_see_published_tries() {
    let (node, client) = (node().await, client());
    let path = publish(&node).await;
    let cookie = reading(&client, &node).await;
    let (status, page) = get(&client, &node, &path, &cookie).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("orders/note") && !page.contains("<script>window"));
    // The only form ends the session.
    assert_eq!(page.matches("method=\"post\"").count(), 1, "{page}");

    for absent in ["/tries/in/x", "/tries/absent/x", "/tries/%3Cb%3E/%3Cb%3E"] {
        let (status, page) = get(&client, &node, absent, &cookie).await;
        assert_eq!(status, 404, "{absent}");
        assert!(!page.contains("<b>"), "{page}");
    }
}
