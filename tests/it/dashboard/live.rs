//! What live updates leave alone: the place of the reader, and what the reader has opened, ticked or typed.

use landfall_tests::{Look, eventually};

use super::flows::browser;
use super::{node, with_dead};

#[tokio::test(flavor = "multi_thread")]
async fn live_rows_keep_the_current_one() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    node.post("/in", &[], "{}").await;
    node.until_states("in", &["done"]).await;
    browser.goto("/events").await;
    browser.wait_for_text("Live.").await;
    browser.press("j").await;
    let current = browser
        .script("return document.querySelector('.is-current').id")
        .await;

    node.post("/in", &[], "{}").await;
    browser.wait_for("[data-row] ~ [data-row].is-current").await;
    let after = browser
        .script("return document.querySelector('.is-current').id")
        .await;
    assert_eq!(after, current);
    assert_eq!(browser.count(".is-current").await, 1);
    browser.press("k").await;
    let first = "return document.querySelector('[data-row]').classList.contains('is-current')";
    assert_eq!(browser.script(first).await, true);
    let times = browser.text("table time").await;
    assert!(!times.contains("UTC"), "{times}");
    let title = browser
        .script("return document.querySelector('table time').title")
        .await;
    assert!(title.as_str().unwrap().ends_with("UTC"), "{title}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_wait_for_the_reader() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    with_dead(&node, 30).await;
    browser.goto("/events").await;
    browser.wait_for_text("Live.").await;
    let mut events = 30;
    for (wait, why, go_on) in [
        ("scrollTo(0, 500)", "further down", "scrollTo(0, 0)"),
        (
            "dispatchEvent(new Event('blur'))",
            "another window",
            "dispatchEvent(new Event('focus'))",
        ),
        (
            "document.querySelector('[name=event]').click()",
            "events are selected",
            "document.querySelector('[name=event]').click()",
        ),
        (
            "getSelection().selectAllChildren(document.querySelector('h1'))",
            "text is selected",
            "getSelection().removeAllRanges()",
        ),
        (
            "document.querySelector('[data-pause]').click()",
            "Paused.",
            "document.querySelector('[data-pause]').click()",
        ),
    ] {
        browser.script(wait).await;
        browser.wait_for_text(why).await;
        node.post("/in", &[], "{}").await;
        events += 1;
        node.until_states("in", &vec!["done"; events - 30]).await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert_eq!(browser.count("[data-row]").await, events - 1, "{why}");
        browser.script(go_on).await;
        eventually(why, || async {
            (browser.count("[data-row]").await == events).then_some(())
        })
        .await;
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_parts_keep_what_was_opened() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    node.post("/in", &[], "{}").await;
    with_dead(&node, 1).await;
    browser.goto("/").await;
    browser.click("#healthy-hooks summary").await;
    node.order("/api/v1/hooks/signed/pause", serde_json::json!({}))
        .await;
    browser.wait_for_text("Paused by an operator").await;
    assert!(browser.has("#healthy-hooks[open]").await);

    let dead = node.deliveries("bad").await[0]["event"]
        .as_str()
        .unwrap()
        .to_owned();
    browser.goto(&format!("/events/{dead}")).await;
    browser.wait_for_text("Live.").await;
    browser.click("#discard summary").await;
    browser.fill("#reason", "an old order").await;
    browser.click("[name=confirm]").await;
    node.order("/api/v1/replay", serde_json::json!({ "events": [dead] }))
        .await;
    browser.wait_for_text("Attempts (2)").await;
    let kept =
        "return [document.querySelector('#discard').open, document.querySelector('#reason').value,
        document.querySelector('[name=confirm]').checked]";
    assert_eq!(
        browser.script(kept).await,
        serde_json::json!([true, "an old order", true])
    );
    browser.close().await;
}
