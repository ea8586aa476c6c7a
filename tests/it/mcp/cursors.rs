//! Walking with cursors gives everything once.

use std::collections::BTreeSet;

use landfall_tests::{Setup, event_id, eventually, guest};
use serde_json::{Value, json};

use super::client::{WAYS, call};
use super::{OPEN, READ_TOKEN, json, node};

const EVENTS: usize = 45;

/// The elements of a list on all pages.
fn joined(pages: &[Value], list: &str) -> Vec<Value> {
    let pages = pages.iter().map(json);
    let lists = pages.map(|page| page[list].as_array().expect("a list").clone());
    lists.collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn searches_find_each_delivery_once() {
    let node = node().await;
    let mut sent = BTreeSet::new();
    for number in 0..EVENTS {
        let body = format!("{{\"number\":{number}}}");
        sent.insert(event_id(&node.post("/q", &[], body).await));
    }
    node.until_states("q", &["done"; EVENTS]).await;
    for way in WAYS {
        let calls = json!([
            { "name": "search", "arguments": { "hook": "q", "limit": 7 }, "walk": true },
            { "name": "search", "arguments": { "text": "number", "limit": 11 }, "walk": true },
        ]);
        let seen = call(&node, way, READ_TOKEN, &calls);
        for pages in &seen.results {
            let found = joined(pages, "deliveries");
            let ids = found
                .iter()
                .map(|one| one["event"].as_str().unwrap().to_owned());
            assert_eq!(found.len(), EVENTS, "{way:?}");
            assert_eq!(ids.collect::<BTreeSet<_>>(), sent, "{way:?}");
        }
        assert!(seen.results[0].len() >= EVENTS.div_ceil(7), "{way:?}");
    }
}

#[tokio::test]
async fn bodies_are_shown_whole() {
    let node = node().await;
    let text = format!("{{\"text\":\"{}\"}}", "aé語🙂\\n".repeat(1_500));
    let binary: Vec<u8> = (0..10_000_u32).map(|number| (number * 7) as u8).collect();
    let text_id = event_id(&node.post("/q", &[], text.clone()).await);
    let binary_id = event_id(&node.post("/q", &[], binary.clone()).await);
    node.until_states("q", &["done"; 2]).await;
    for way in WAYS {
        let calls = json!([
            { "name": "show", "arguments": { "event": text_id, "part": "body" }, "walk": true },
            { "name": "show", "arguments": { "event": binary_id, "part": "body" }, "walk": true },
        ]);
        let seen = call(&node, way, READ_TOKEN, &calls);
        let texts: String = seen.results[0]
            .iter()
            .map(|page| json(page)["untrusted"]["body"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(texts, text, "{way:?}");
        let bytes = seen.results[1].iter().map(|page| {
            let page = json(page);
            hex::decode(page["untrusted"]["body_hex"].as_str().unwrap()).unwrap()
        });
        assert_eq!(bytes.collect::<Vec<_>>().concat(), binary, "{way:?}");
        for page in seen.results.iter().flatten() {
            assert!(page.to_string().len() < 32 << 10, "a page is short");
        }
    }
}

#[tokio::test]
async fn findings_and_hooks_are_listed_once() {
    let mut setup = Setup::new()
        .env("READ_TOKEN", READ_TOKEN)
        .env("LANDFALL_ADMIN_READ_TOKEN", "env:READ_TOKEN")
        .hook("h", &guest("answers_one"), OPEN);
    for number in 0..9 {
        let file = "component = \"h.wasm\"\n";
        setup = setup.file(&format!("closed-{number}.toml"), file);
    }
    let node = setup.serving("h").await;
    for number in 0..9 {
        let (name, path) = (format!("closed-{number}"), format!("/closed-{number}"));
        eventually("the hook is closed", || async {
            let hook = node.hook(&name).await?;
            (hook["state"] == "closed").then_some(())
        })
        .await;
        for _ in 0..3 {
            assert_eq!(node.post(&path, &[], "{}").await.0, 503);
        }
    }
    for way in WAYS {
        let calls = json!([
            { "name": "explain", "arguments": { "limit": 4 }, "walk": true },
            { "name": "hooks", "arguments": { "limit": 3 }, "walk": true },
        ]);
        let seen = call(&node, way, READ_TOKEN, &calls);
        let findings = joined(&seen.results[0], "findings");
        let count = json(&seen.results[0][0])["count"].as_u64().unwrap();
        assert_eq!(findings.len() as u64, count, "{way:?}");
        let refusals = findings.iter().filter(|one| one["kind"] == "refusal");
        assert_eq!(refusals.count(), 27, "{way:?}: {findings:?}");
        let problems = findings.iter().filter(|one| one["kind"] == "hook");
        assert_eq!(problems.count(), 9, "{way:?}");

        let hooks = joined(&seen.results[1], "hooks");
        let names: BTreeSet<&str> = hooks
            .iter()
            .map(|hook| hook["name"].as_str().unwrap())
            .collect();
        assert_eq!((hooks.len(), names.len()), (10, 10), "{way:?}");
    }
}

#[tokio::test]
async fn replays_go_on_at_the_cursor() {
    let node = node().await;
    for _ in 0..5 {
        node.post("/fails", &[], "{}").await;
    }
    node.until_states("fails", &["dead"; 5]).await;
    node.order("/api/v1/hooks/fails/pause", json!({})).await;
    let calls =
        json!([{ "name": "replay", "arguments": { "hook": "fails", "limit": 2 }, "walk": true }]);
    let seen = call(&node, WAYS[1], &node.admin_token(), &calls);
    let events: u64 = seen.results[0]
        .iter()
        .map(|page| json(page)["events"].as_u64().unwrap())
        .sum();
    assert_eq!(events, 5, "{:?}", seen.results);
    assert_eq!(node.deliveries("fails").await.len(), 10);
}
