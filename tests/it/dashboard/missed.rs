//! The page of missed deliveries: a dry run and a search, with and without scripts, on a phone and on a desktop.

use landfall_tests::{Browser, Look};

use super::looks::check;
use super::pictures;
use crate::reconcile::provider::Provider;
use crate::reconcile::{after_misses, until_searched};

#[tokio::test(flavor = "multi_thread")]
async fn searches_are_started_and_shown() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    let mut problems = Vec::new();
    for look in [
        Look::PHONE,
        Look::DESKTOP,
        Look::PHONE.dark(),
        Look::DESKTOP.dark(),
    ] {
        let Some(browser) = Browser::start(&node, look).await else {
            return;
        };
        browser.log_in(&node).await;
        browser.follow("Missed").await;
        browser.wait_for_text("GitHub, every 1.0 h").await;
        search(&browser, "dry-run").await;
        until_searched(&node).await;
        browser.reload_until("Deliveries are missing").await;
        browser.wait_for_text("this hook missed 3").await;

        let name = format!("missed-{}", look.name());
        browser.screenshot(&pictures(), &name).await;
        problems.extend(check(&browser, &name).await);
        browser.close().await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(node.deliveries("in").await.len(), 7);

    let look = Look::DESKTOP.without_script();
    let browser = Browser::start(&node, look)
        .await
        .expect("it has started before");
    browser.log_in(&node).await;
    browser.goto("/missed").await;
    search(&browser, "search").await;
    browser
        .reload_until("of which 3 were stored as new events")
        .await;
    node.until_states("in", &["done"; 10]).await;
    browser.click("#missed-in li a").await;
    browser.wait_for("#timeline").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_searches_say_why() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    let Some(browser) = Browser::start(&node, Look::DESKTOP).await else {
        return;
    };
    browser.log_in(&node).await;
    provider.limit(1, None);
    browser.goto("/missed").await;
    search(&browser, "dry-run").await;
    browser.wait_for_text("The last search failed").await;
    browser.wait_for_text("answers 403").await;

    browser.fill("#since-in", "a week").await;
    browser.click("#missed-in [value=search]").await;
    browser
        .wait_for_text("is not a time of at most 30 days")
        .await;
    browser.close().await;
}

/// Starts a search over three days.
async fn search(browser: &Browser, command: &str) {
    browser.fill("#since-in", "3d").await;
    browser
        .click(&format!("#missed-in [value={command}]"))
        .await;
    browser.wait_for_text("has begun").await;
}
