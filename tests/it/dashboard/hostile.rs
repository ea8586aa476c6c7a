//! Payloads, paths and headers that try to be more than text.

use landfall_tests::{Browser, Look, event_id};

use super::flows::browser;
use super::node;

#[tokio::test(flavor = "multi_thread")]
async fn payloads_stay_text() {
    let node = node().await;
    let Some(browser) = Browser::start(&node, Look::DESKTOP).await else {
        return;
    };
    browser.log_in(&node).await;
    let script = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>";
    let big = format!("{{\"big\":\"{}\"}}", "x".repeat(1 << 20));
    let payloads = [
        ("markup", format!("{{\"a\":\"{script}\"}}")),
        ("attribute", "\"><svg onload=window.pwned=1>'\"".to_owned()),
        ("ansi", "\u{1b}[2J\u{1b}[31mred\u{7}".to_owned()),
        ("crlf", "a\r\nset-cookie: x=1\r\n\r\n<b>b</b>".to_owned()),
        (
            "bidi",
            "{\"file\":\"\u{202e}gpj.exe\",\"name\":\"שלום\"}".to_owned(),
        ),
        ("emoji", "{\"e\":\"👩\u{200d}🚒 🏳️‍🌈\"}".to_owned()),
        ("template", "{{ 7 * 7 }}{% raw %}".to_owned()),
        ("big", big),
    ];
    for (name, payload) in payloads {
        let headers = [("x-event-note", script), ("content-type", "text/html")];
        let answer = node.post("/in", &headers, payload.clone()).await;
        // A body above the limit of the hook is refused, and the page of refusals shows it.
        if answer.0 == 413 {
            browser.goto("/why").await;
            browser.wait_for_text("413").await;
            continue;
        }
        let id = event_id(&answer);
        browser.goto(&format!("/events/{id}")).await;
        browser.wait_for("#body-raw").await;
        let pwned = browser.script("return window.pwned === undefined").await;
        assert_eq!(pwned, true, "{name}");
        let added = browser
            .count("main img, main svg, main b, main script")
            .await;
        assert_eq!(added, 0, "{name}");
        let raw = browser
            .script("return document.getElementById('body-raw').textContent")
            .await;
        let raw = raw.as_str().unwrap();
        for hidden in ['\u{1b}', '\u{7}', '\r', '\u{202e}'] {
            assert!(!raw.contains(hidden), "{name}: {hidden:?}");
        }
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_searches_stay_text() {
    let node = node().await;
    let Some(browser) = Browser::start(&node, Look::DESKTOP).await else {
        return;
    };
    browser.log_in(&node).await;
    node.post("/%3Cscript%3Ewindow.pwned=1%3C/script%3E", &[], "x")
        .await;
    for path in [
        "/why",
        "/why?hook=%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E&reason=%22%3E%3Cb%3E",
        "/events?q=%22%3E%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E",
        "/events?q=hook:%3Cimg%20src=x%20onerror=window.pwned=1%3E",
        "/bulk?q=%22%3E%3Cb%3E&group=%3Cb%3E&command=replay",
        "/data?hook=in&prefix=%3Cb%3E&contains=%3Cb%3E",
        "/audit?hook=%3Cb%3E&action=%3Cb%3E&since=%3Cb%3E",
        "/events/%3Cb%3E",
        "/components/%3Cb%3E",
    ] {
        browser.goto(path).await;
        browser.wait_for("h1").await;
        assert_eq!(
            browser.script("return window.pwned === undefined").await,
            true,
            "{path}"
        );
        assert_eq!(
            browser.count("main b, main img, main script").await,
            0,
            "{path}"
        );
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_send_the_same_bytes() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    let payloads = [
        "{\"file\":\"\u{202e}gpj.exe\",\"nul\":\"\u{0}\"}",
        "@/etc/hostname",
        "-n %s \\n '$(id)'\r\n\t\u{1b}[2J\n\n",
    ];
    for (number, payload) in payloads.into_iter().enumerate() {
        let headers = [("content-type", "text/plain"), ("x-event-note", "it's")];
        let id = event_id(&node.post("/in", &headers, payload).await);
        node.until_states("in", &vec!["done"; 2 * number + 1]).await;
        browser.goto(&format!("/events/{id}")).await;
        let command = "return document.getElementById('curl').textContent";
        let command = browser.script(command).await;
        let command = command.as_str().unwrap();
        let hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!command.contains(hidden), "{command:?}");

        let ran = std::process::Command::new("sh")
            .args(["-c", command])
            .output();
        let answer = String::from_utf8_lossy(&ran.unwrap().stdout).into_owned();
        assert!(answer.starts_with("HTTP/1.1 202"), "{command}: {answer}");
        node.until_states("in", &vec!["done"; 2 * number + 2]).await;
        let sent = node.deliveries("in").await;
        let newest = sent
            .iter()
            .max_by_key(|one| one["delivery"].as_i64())
            .unwrap();
        let path = format!("/api/v1/events/{}", newest["event"].as_str().unwrap());
        let shown = node.ask(&path).await;
        assert_eq!(shown["event"]["body"]["text"], payload, "{command}");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_show_every_character() {
    let node = node().await;
    let Some(browser) = browser(&node, Look::DESKTOP).await else {
        return;
    };
    node.post("/in", &[], "{\"file\":\"\u{202e}gpj.exe\"}")
        .await;
    node.until_states("in", &["done"]).await;
    let hidden = "return /[\\u0000-\\u0008\\u202e]/.test(document.documentElement.textContent + \
                  [...document.querySelectorAll('input, textarea, option')].map((field) => field.value).join(' '))";
    for path in [
        "/events?q=%E2%80%AEgpj%00",
        "/bulk?q=%E2%80%AEgpj%00&group=%E2%80%AE%00&command=discard&reason=%E2%80%AE",
        "/send?hook=in&type=%E2%80%AE%00",
        "/send?hook=%E2%80%AE%00",
        "/data?hook=%E2%80%AE%00&prefix=%E2%80%AE&contains=%00",
        "/audit?since=%E2%80%AE%00&hook=%E2%80%AE",
        "/why?hook=%E2%80%AE&reason=%00",
        "/failures?hook=%E2%80%AE",
    ] {
        browser.goto(path).await;
        browser.wait_for("h1").await;
        assert_eq!(browser.script(hidden).await, false, "{path}");
    }

    // The field means the same when it is sent again.
    browser.goto("/events?q=%E2%80%AEgpj").await;
    assert_eq!(browser.count("[data-row]").await, 1);
    browser.click(".search button").await;
    browser.wait_for_text("Searched").await;
    assert_eq!(browser.count("[data-row]").await, 1);
    browser.close().await;
}
