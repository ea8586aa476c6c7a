//! Cases about when a delivery runs: backoff, order, backlog.

use std::time::Duration;

use landfall_tests::backend::Backend;
use landfall_tests::side_effects::{self, check};
use landfall_tests::{Receiver, Setup, bundled, event_id, eventually, guest};
use serde_json::{Value, json};

use super::{OPEN, accept, serving};

pub(crate) async fn retries_are_never_early(backend: Backend) {
    let file = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 3\n\
         backoff = {{ first = \"1s\", factor = 1.0, max = \"1s\", jitter = 0.0 }}\n"
    );
    let node = serving(
        &backend,
        Setup::new().hook("traps", &guest("traps"), &file),
        "traps",
    )
    .await;
    let answer = node.deliver("/traps", &[], "{}").await;
    assert_eq!(answer.0, 202);
    let dead = node.until_states("traps", &["dead"]).await;
    assert_eq!(dead[0]["attempt"], 3);
    let shown = node
        .ask(&format!("/api/v1/events/{}", event_id(&answer)))
        .await;
    let starts: Vec<i64> = shown["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(started_ms)
        .collect();
    assert_eq!(starts.len(), 3, "{shown}");
    assert!(
        starts.windows(2).all(|pair| pair[1] - pair[0] >= 995),
        "{starts:?}"
    );
    if backend.dead().await.is_some() {
        eventually("it is where the dead are", || async {
            (backend.dead().await? > 0).then_some(())
        })
        .await;
    }
    let digest = node.hook("traps").await.unwrap()["digest"].clone();
    node.put("traps.wasm", std::fs::read(guest("answers_one")).unwrap());
    node.until_changed("traps", &digest).await;
    for number in 1..=2 {
        assert_eq!(
            node.order("/api/v1/replay", json!({ "events": [event_id(&answer)] }))
                .await["events"],
            1
        );
        eventually("the replay is done", || async {
            let all = node.deliveries("traps").await;
            let done = all
                .iter()
                .filter(|one| one["replayed"] == true && one["state"] == "done")
                .count();
            (done == number).then_some(())
        })
        .await;
    }
}

/// Milliseconds of the day.
fn started_ms(attempt: &Value) -> i64 {
    let clock = attempt["started_at"]
        .as_str()
        .unwrap()
        .split('T')
        .nth(1)
        .unwrap()
        .trim_end_matches('Z')
        .to_owned();
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) * 1000.0).round() as i64
}

pub(super) async fn one_order_key_runs_in_order(backend: Backend) {
    const EVENTS: usize = 24;
    let receiver = Receiver::start().await;
    let file = format!(
        "mode = \"async\"\nconcurrency = 4\norder_by = {{ json = \"/key\" }}\n{OPEN}[settings]\n\
         targets = [\"{at}\"]\n\
         [allow]\nhttp = [\"{at}\"]\n\
         [retry]\nattempts = 50\nbackoff = {{ first = \"200ms\", factor = 1.0, max = \"200ms\", jitter = 0.0 }}\n",
        at = receiver.url("/in")
    );
    let setup = Setup::new().hook("out", &bundled("forward"), &file);
    if !backend.keeps_order() {
        let node = backend.under(setup).start().await;
        let status = node.until("out", "unavailable").await;
        assert!(
            status["problem"]
                .as_str()
                .unwrap()
                .contains("Cloud Tasks keeps none"),
            "{status}"
        );
        assert_eq!(node.post("/out", &[], "{\"key\":0}").await.0, 503);
        return;
    }
    let node = serving(&backend, setup, "out").await;
    receiver.answer(503);
    for n in 0..EVENTS {
        assert_eq!(
            node.deliver("/out", &[], json!({ "key": n % 3, "n": n }).to_string())
                .await
                .0,
            202
        );
    }
    eventually("the first ones have failed", || async {
        (receiver.got().len() >= 3).then_some(())
    })
    .await;
    receiver.answer(200);
    node.until_states("out", &["done"; EVENTS]).await;
    let came: Vec<Value> = receiver
        .got()
        .iter()
        .map(|got| serde_json::from_slice(&got.body).unwrap())
        .collect();
    for key in 0..3 {
        let numbers = came
            .iter()
            .filter(|one| one["key"] == key)
            .map(|one| one["n"].as_u64().unwrap());
        let numbers: Vec<u64> = numbers.collect();
        assert!(numbers.is_sorted(), "key {key}: {numbers:?}");
    }
}

pub(super) async fn a_backlog_waits_for_its_hook(backend: Backend) {
    const EVENTS: usize = 100;
    let node = serving(&backend, side_effects::setup("async"), "side_effects").await;
    assert_eq!(
        node.order("/api/v1/hooks/side_effects/pause", json!({}))
            .await["paused"],
        true
    );
    for n in 0..EVENTS {
        accept(&node, n).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(node.rows("side_effects", "t").await.len(), 0);
    node.order("/api/v1/hooks/side_effects/resume", json!({}))
        .await;
    check(&node, EVENTS, &format!("{:?}", backend.kind)).await;
}
