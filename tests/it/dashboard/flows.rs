//! What operators do, from the login to the result.

use landfall_tests::{Browser, Look, Node, event_id, eventually, guest};
use serde_json::json;

use super::{SECRET, node, with_dead};

/// The button that sends a sample.
const SEND: &str = "form[method=post][action='/send'] button";

/// Starts a browser that is logged in; none where the programs are not installed.
pub(super) async fn browser(node: &Node, look: Look) -> Option<Browser> {
    let browser = Browser::start(node, look).await?;
    browser.log_in(node).await;
    Some(browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_live_and_replay() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    browser.goto("/events").await;
    browser.wait_for_text("Live").await;
    assert!(!browser.has("[data-row]").await);

    let id = event_id(
        &node
            .post("/in", &[], "{\"big\":12345678901234567890}")
            .await,
    );
    browser.wait_for("[data-row]").await;
    browser.press("j").await;
    browser.click("[data-row] [data-open]").await;
    browser.wait_for(".timeline").await;
    assert_eq!(browser.path().await, format!("/events/{id}"));
    browser.wait_for_text("Attempt 1: done").await;
    assert!(
        browser
            .text("#body-pretty")
            .await
            .contains("12345678901234567890")
    );

    browser.press("r").await;
    browser
        .wait_for_text("replayed: a new delivery of the event runs")
        .await;
    browser.wait_for_text("Replayed as delivery").await;
    node.until_states("in", &["done", "done"]).await;
    browser.wait_for_text("Attempts (2)").await;
    assert_eq!(browser.count("article.attempt").await, 2);

    browser.goto("/audit").await;
    browser.wait_for_text("replay").await;
    browser.wait_for_text("127.0.0.1").await;
    browser.close().await;
}

/// What works the same with and without scripts: each step begins at a page and ends with its result.
async fn operate(node: &Node, browser: &Browser) {
    let id = event_id(&node.post("/in", &[], "{\"a\":1}").await);
    node.until_states("in", &["done"]).await;
    browser.goto("/events").await;
    browser.click("[data-open]").await;
    assert_eq!(browser.path().await, format!("/events/{id}"));
    browser.click("#replay button").await;
    browser.reload_until("Attempts (2)").await;

    with_dead(node, 3).await;
    browser.goto("/failures").await;
    browser.wait_for_text("3 dead").await;
    browser.click(".group a[href*='command=replay']").await;
    browser.wait_for_text("Dry run: 3 deliveries").await;
    browser.click("#start button").await;
    browser.reload_until("3 done, 0 skipped, of 3").await;

    browser.goto("/send?hook=signed").await;
    browser.click(SEND).await;
    browser.wait_for_text("The request was accepted").await;
    assert!(!browser.source().await.contains(SECRET));
    browser.click("#result").await;
    browser.wait_for_text("Verified by").await;

    browser.goto("/send?hook=signed").await;
    browser.click("input[name=tamper]").await;
    browser.click(SEND).await;
    browser.wait_for_text("The request was refused").await;
    browser.click("#result").await;
    browser.wait_for_text("signature_mismatch").await;
    assert!(browser.path().await.starts_with("/why?hook=signed"));

    browser.goto("/missed").await;
    browser.wait_for_text("No hook asks its provider").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_with_scripts() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    operate(&node, &browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_without_scripts() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP.without_script()).await else {
        return;
    };
    operate(&node, &browser).await;

    browser.goto("/events").await;
    let state = browser.text("[data-live-state]").await;
    assert!(state.contains("at the time it was loaded"), "{state}");
    assert!(browser.text("table time").await.ends_with("UTC"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_filter_and_state_their_window() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    node.post("/in", &[], "{\"repo\":{\"name\":\"a\"}}").await;
    node.post("/in", &[], "{\"repo\":{\"name\":\"b\"}}").await;
    node.until_states("in", &["done", "done"]).await;
    with_dead(&node, 1).await;

    for (search, rows) in [
        ("hook:in", 2),
        ("state:dead", 1),
        ("json.repo.name:b", 1),
        ("hook:in state:dead", 0),
        ("took:>1h", 0),
    ] {
        browser.goto("/events").await;
        browser.fill("#q", search).await;
        browser.click(".search button").await;
        eventually(search, || async {
            let is_there = browser.path().await.contains("q=") && browser.has("#window").await;
            (is_there && browser.count("[data-row]").await == rows).then_some(())
        })
        .await;
        let window = browser.text("#window").await;
        assert!(window.contains("Searched"), "{search}: {window}");
    }

    browser.goto("/events?q=colour:red").await;
    browser.wait_for_text("is no qualifier").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_replays_can_be_cancelled() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    with_dead(&node, 30).await;
    std::fs::copy(guest("answers_one"), node.plugins().join("bad.wasm")).unwrap();

    browser.goto("/bulk?q=hook:bad&rate=1&command=replay").await;
    browser.wait_for_text("Dry run: 30 deliveries").await;
    assert_eq!(node.deliveries("bad").await.len(), 30);
    browser.click("#start button").await;
    browser.wait_for("progress").await;
    browser.click(".job .danger").await;
    browser.wait_for_text("cancelled").await;
    let replayed = node.deliveries("bad").await.len() - 30;
    assert!(replayed < 30, "{replayed}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_events_are_replayed() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    with_dead(&node, 3).await;
    browser.goto("/events?q=hook:bad").await;
    browser.click("#selected [value=replay]").await;
    browser.wait_for_text("no event was selected").await;

    browser.goto("/events?q=hook:bad").await;
    browser.click("[data-row]:nth-child(1) [name=event]").await;
    browser.click("[data-row]:nth-child(3) [name=event]").await;
    browser
        .wait_for_text("Paused while events are selected")
        .await;
    browser.click("#selected [value=replay]").await;
    browser
        .wait_for_text("Dry run: 2 events would run again")
        .await;
    assert_eq!(node.deliveries("bad").await.len(), 3);
    browser.click("#start button").await;
    browser.wait_for_text("2 done, 0 skipped, of 2").await;
    node.until_states("bad", &["dead"; 5]).await;

    browser.goto("/events?q=hook:bad").await;
    browser.click("[data-all] input").await;
    let ticked = "return document.querySelectorAll('[name=event]:checked').length";
    assert_eq!(browser.script(ticked).await, 5);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_are_completed() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    browser.goto("/events").await;
    browser.fill("#q", "hook:in st").await;
    let offers =
        "return [...document.querySelectorAll('#suggestions option')].map((offer) => offer.value)";
    let offers = browser.script(offers).await;
    assert!(
        offers
            .as_array()
            .unwrap()
            .contains(&json!("hook:in state:dead")),
        "{offers}"
    );
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_copied() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    let id = event_id(&node.post("/in", &[], "{\"a\":1}").await);
    node.until_states("in", &["done"]).await;
    browser.goto(&format!("/events/{id}")).await;
    browser.click("[data-copy=curl]").await;
    browser.wait_for_text("Copied").await;
    let command = browser.text("#curl").await;
    let ran = std::process::Command::new("sh")
        .args(["-c", &command])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&ran.stdout).starts_with("HTTP/1.1 202"),
        "{command}"
    );
    node.until_states("in", &["done", "done"]).await;
    assert!(
        browser
            .text("#save")
            .await
            .contains(&format!("landfall events save {id}"))
    );
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_grouped_and_discarded() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    with_dead(&node, 4).await;
    browser.goto("/failures").await;
    assert_eq!(browser.count(".group").await, 1);
    assert!(browser.text(".group").await.contains("4 dead"));

    browser.click(".group a[href*='command=discard']").await;
    browser.wait_for_text("would be discarded").await;
    browser.fill("#why", "a test").await;
    browser.click("input[name=confirm]").await;
    browser.click("#start button").await;
    browser.wait_for_text("4 done").await;
    node.until_states("bad", &["discarded"; 4]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_hooks_show_a_command() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    browser.goto("/").await;
    browser.wait_for_text("Serving, never called").await;
    let waiting = browser.text("#waiting").await;
    assert_eq!(waiting, "Waiting for their first event (3)");
    assert!(!browser.has("#look").await, "nothing needs a look");
    let command = browser.text("#curl-in").await;
    assert!(command.starts_with("curl -i -X POST"), "{command}");
    assert!(command.contains(&node.public.to_string()), "{command}");
    let ran = std::process::Command::new("sh")
        .args(["-c", &command])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&ran.stdout).starts_with("HTTP/1.1 202"),
        "{ran:?}"
    );
    browser.wait_for("#healthy").await;

    node.order("/api/v1/hooks/in/pause", json!({})).await;
    browser.wait_for_text("Paused by an operator").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_move_and_open() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    node.post("/in", &[], "{}").await;
    node.until_states("in", &["done"]).await;
    for (key, path) in [
        ("ge", "/events"),
        ("gf", "/failures"),
        ("go", "/"),
        ("?", "/help"),
    ] {
        browser.press(key).await;
        eventually(path, || async {
            (browser.path().await == path).then_some(())
        })
        .await;
    }

    browser.goto("/events").await;
    browser.press("/").await;
    assert_eq!(
        browser.script("return document.activeElement.id").await,
        "q"
    );
    browser.script("document.activeElement.blur()").await;
    browser.press("p").await;
    browser.wait_for_text("Paused.").await;
    node.post("/in", &[], "{}").await;
    node.until_states("in", &["done", "done"]).await;
    assert_eq!(browser.count("[data-row]").await, 1);
    browser.press("p").await;
    browser.wait_for("[data-row] ~ [data-row]").await;
    browser.close().await;
}
