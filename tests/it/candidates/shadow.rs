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

/// A candidate that never ends has its limit, and other hooks' shadows do not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn endless_shadows_block_no_other() {
    let file = format!("deadline = \"1s\"\n{OPEN}{SHADOW}");
    let endless = file.replace("new.wasm", "endless.wasm");
    let node = with_candidate(&file, "answers_two")
        .hook("stuck", &guest("answers_one"), &endless)
        .file("endless.wasm", component("loops"))
        .serving(HOOK)
        .await;
    node.until("stuck", "serving").await;
    let stuck = async || node.ask("/api/v1/hooks/stuck/candidate").await["shadow"].clone();
    eventually("the endless candidate is tried", || async {
        stuck().await.is_object().then_some(())
    })
    .await;
    for _ in 0..5 {
        assert_eq!(node.post("/stuck", &[], "{}").await, (200, "one".into()));
    }

    until_phase(&node, "shadow").await;
    let found = until_repeated(&node, "{}").await;
    assert_eq!(
        found["shadow"]["kinds"]["reply"], found["shadow"]["runs"],
        "{found}"
    );

    // It is ended, counts as slow or as dropped, and the others of its hook are dropped.
    eventually("the endless run is ended", || async {
        (stuck().await["dropped"].as_u64()? >= 4).then_some(())
    })
    .await;
    node.until_log("a shadow run has used up its limit").await;
    assert_eq!(node.post("/stuck", &[], "{}").await, (200, "one".into()));
}

/// An attempt whose recording was cut is counted. It does not run until its limit, which would end
/// the repetitions for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn cut_recordings_pause_no_shadow() {
    let receiver = Receiver::start().await;
    receiver.say(&"x".repeat(300 << 10));
    let url = receiver.url("/");
    let file = format!("{OPEN}{SHADOW}[settings]\nurl = \"{url}\"\n[allow]\nhttp = [\"{url}\"]\n");
    let same = landfall_tests::with_manifest(&component("calls"), "version = \"2.0.0\"\n");
    let node = Setup::new()
        .hook(HOOK, &guest("calls"), &file)
        .file("new.wasm", same)
        .serving(HOOK)
        .await;
    until_phase(&node, "shadow").await;
    let found = eventually("several attempts were repeated", || async {
        node.post("/orders", &[], "{}").await;
        let report = report(&node).await;
        (report["shadow"]["truncated"].as_u64()? >= 3).then_some(report)
    })
    .await;
    let shadow = &found["shadow"];
    assert_eq!(
        (&shadow["truncated"], &shadow["dropped"]),
        (&shadow["runs"], &json!(0)),
        "{found}"
    );
}
