//! Every page on a phone and on a desktop, light and dark: nothing overflows, axe-core finds nothing serious, and a picture of
//! each is stored.

use landfall_tests::{Browser, Look};

use super::pictures;
use super::scene::{READ_TOKEN, scene};

#[tokio::test(flavor = "multi_thread")]
async fn pages_fit_and_are_accessible() {
    let scene = scene().await;
    let node = &scene.node;
    let pages = [
        ("overview", "/".to_owned()),
        ("events", "/events".to_owned()),
        ("event", format!("/events/{}", scene.order)),
        ("push", format!("/events/{}", scene.push)),
        ("dead", format!("/events/{}", scene.invoice)),
        ("nothing", "/events?q=hook:none".to_owned()),
        ("why", "/why?hook=github".to_owned()),
        ("failures", "/failures".to_owned()),
        ("missed-nothing", "/missed".to_owned()),
        ("bulk", "/bulk?q=hook:invoices&command=discard".to_owned()),
        ("send", "/send?hook=github".to_owned()),
        ("components", "/components".to_owned()),
        ("component", "/components/orders".to_owned()),
        ("rows", "/data?hook=pushes".to_owned()),
        ("values", "/data?hook=counters".to_owned()),
        ("recordings", "/recordings?hook=invoices".to_owned()),
        ("shape", "/shape?hook=orders".to_owned()),
        ("audit", "/audit".to_owned()),
        ("help", "/help".to_owned()),
    ];

    let mut problems = Vec::new();
    for look in [
        Look::PHONE,
        Look::DESKTOP,
        Look::PHONE.dark(),
        Look::DESKTOP.dark(),
    ] {
        let Some(browser) = Browser::start(node, look).await else {
            return;
        };
        let dark = browser
            .script("return matchMedia('(prefers-color-scheme: dark)').matches")
            .await;
        assert_eq!(dark, look.is_dark, "{}", look.name());
        browser
            .screenshot(&pictures(), &format!("login-{}", look.name()))
            .await;
        problems.extend(check(&browser, &format!("login-{}", look.name())).await);

        browser.log_in(node).await;
        for (name, path) in &pages {
            browser.goto(path).await;
            browser.wait_for("h1").await;
            if browser.has("[data-live]").await {
                // A list waits while another window has the focus.
                browser.script("dispatchEvent(new Event('focus'))").await;
                browser.wait_for_text("Live.").await;
            }
            if *name == "overview" {
                // The first sample of the counters, and the first look for alarms.
                browser.wait_for_text("3 requests and").await;
                browser.wait_for_text("invoices: dead_letters").await;
            }
            let name = format!("{name}-{}", look.name());
            browser.screenshot(&pictures(), &name).await;
            problems.extend(check(&browser, &name).await);
        }
        browser.close().await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_windows_are_used() {
    let scene = scene().await;
    let node = &scene.node;
    let look = Look {
        width: 2560,
        height: 1440,
        ..Look::DESKTOP
    };
    let Some(browser) = Browser::start(node, look).await else {
        return;
    };
    browser.log_in(node).await;
    browser.screenshot(&pictures(), "overview-2560-light").await;
    let problems = check(&browser, "overview-2560").await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let width = browser
        .script("return document.querySelector('main').clientWidth")
        .await;
    assert!(width.as_u64().unwrap() > 1_500, "{width}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_alarms_are_shown() {
    let scene = scene().await;
    let Some(browser) = Browser::start(&scene.node, Look::DESKTOP).await else {
        return;
    };
    browser.log_in_with(READ_TOKEN).await;
    browser.wait_for_text("invoices: dead_letters").await;
    browser.wait_for_text("read only").await;
    assert!(!browser.has("main form[method=post]").await);
    browser.screenshot(&pictures(), "reader-1440-light").await;
    browser.follow("invoices: dead_letters").await;
    browser.wait_for_text("3 dead").await;
    assert_eq!(browser.path().await, "/failures?hook=invoices");
    browser.close().await;
}

/// What is wrong with a page.
pub(super) async fn check(browser: &Browser, name: &str) -> Vec<String> {
    let overflow = browser
        .script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
        )
        .await;
    let mut problems: Vec<String> = browser
        .axe()
        .await
        .unwrap_or_default()
        .into_iter()
        .map(|problem| format!("{name}: {problem}"))
        .collect();
    if overflow.as_i64() != Some(0) {
        problems.push(format!("{name}: wider than the window by {overflow}"));
    }
    problems
}
