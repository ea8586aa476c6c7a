//! Shadows: they find differences, and have no effect.

use landfall_tests::{Receiver, Setup, component, eventually, guest};
use serde_json::{Value, json};

use super::{HOOK, OPEN, report, until_phase, with_candidate};

const SHADOW: &str = "[candidate]\ncomponent = \"new.wasm\"\n";

/// Posts until a shadow run has ended, and every reply is that of the serving version.
async fn until_repeated(node: &landfall_tests::Node, body: &'static str) -> Value {
    eventually("an attempt was repeated", || async {
        let answer = node.post("/orders", &[], body).await;
        assert_eq!(answer, (200, "one".to_owned()), "{}", node.log());
        let report = report(node).await;
        let runs = report["shadow"]["runs"].as_u64().unwrap_or(0);
        (runs > 0).then_some(report)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn shadows_find_one_difference() {
    let node = with_candidate(&format!("{OPEN}{SHADOW}"), "answers_two")
        .serving("orders")
        .await;
    until_phase(&node, "shadow").await;
    let found = until_repeated(&node, "{}").await;
    let shadow = &found["shadow"];
    assert_eq!(shadow["different"], shadow["runs"], "{found}");
    assert_eq!(
        shadow["kinds"],
        json!({ "reply": shadow["runs"] }),
        "{found}"
    );
    let sample = &shadow["samples"][0];
    assert_eq!(
        (&sample["serving"], &sample["candidate"]),
        (&json!("one"), &json!("two")),
        "{found}"
    );
    let metrics = node.metrics().await;
    let series = "landfall_shadow_runs_total{hook=\"orders\",result=\"differs\"}";
    assert!(metrics.contains(series), "{metrics}");

    // The same version in all but its bytes.
    let same = landfall_tests::with_manifest(&component("answers_one"), "version = \"2.0.0\"\n");
    node.put("new.wasm", same);
    eventually("the new file is repeated", || async {
        node.post("/orders", &[], "{}").await;
        let report = report(&node).await;
        let shadow = &report["shadow"];
        let is_new = report["digest"] != found["digest"];
        (is_new && shadow["runs"].as_u64()? > 0 && shadow["different"] == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shadows_have_no_effects() {
    let receiver = Receiver::start().await;
    let file = format!(
        "{OPEN}{SHADOW}[settings]\nurl = \"{}\"\n[allow]\nemit = [\"sink\"]\nhttp = [\"{}\"]\n",
        receiver.url("/"),
        receiver.url("/")
    );
    let sink = format!("mode = \"async\"\n{OPEN}");
    let setup = Setup::new()
        .hook(HOOK, &guest("answers_one"), &file)
        .hook("sink", &guest("answers_one"), &sink)
        .file("new.wasm", component("emits"));
    let node = setup.serving("orders").await;
    node.until("sink", "serving").await;
    until_phase(&node, "shadow").await;
    let emitted = until_repeated(&node, "sink hello").await;
    assert!(emitted["shadow"]["kinds"]["emitted"].is_u64(), "{emitted}");

    node.put("new.wasm", component("calls"));
    eventually("the new file is repeated", || async {
        node.post("/orders", &[], "{}").await;
        let report = report(&node).await;
        report["shadow"]["kinds"]["unanswered_call"]
            .is_u64()
            .then_some(())
    })
    .await;
    node.settle().await;
    assert!(receiver.got().is_empty());
    assert!(node.deliveries("sink").await.is_empty());
    let metrics = node.metrics().await;
    assert!(
        !metrics.contains("landfall_outbound_calls_total{"),
        "{metrics}"
    );
}
