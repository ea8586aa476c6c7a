//! When a stored event runs: workers, retries, duplicates, order.

use std::collections::BTreeMap;

use landfall_tests::{Setup, bundled, event_id, eventually, guest};
use serde_json::json;

use super::{OPEN, store};

#[tokio::test]
async fn async_answers_before_a_worker_runs() {
    let node = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .serving("store")
        .await;
    let answer = node.post("/store", &[("id", "1")], "{\"n\":1}").await;
    assert_eq!(answer.0, 202, "{answer:?}");
    let done = node.until_states("store", &["done"]).await;
    assert_eq!(
        (&done[0]["event"], &done[0]["attempt"]),
        (&json!(event_id(&answer)), &json!(1))
    );
    let rows = node.rows("store", "t").await;
    assert_eq!(
        (rows.len(), &rows[0]["row"]["n"], &rows[0]["event_id"]),
        (1, &json!(1), &json!(event_id(&answer)))
    );
    let shown = node
        .ask(&format!("/api/v1/events/{}", event_id(&answer)))
        .await;
    assert_eq!(shown["event"]["body"]["text"], "{\"n\":1}");
    assert_eq!(
        (
            &shown["attempts"][0]["outcome"],
            &shown["attempts"][0]["number"]
        ),
        (&json!("done"), &json!(1))
    );
    let metrics = node.metrics().await;
    assert!(
        metrics.contains("landfall_records_dropped_total 0"),
        "{metrics}"
    );
}

#[tokio::test]
async fn duplicates_get_the_first_id() {
    let node = Setup::new()
        .hook("store", &bundled("store"), &store("async"))
        .serving("store")
        .await;
    let same: Vec<_> = (0..64)
        .map(|_| node.post("/store", &[("id", "7")], "{\"n\":7}"))
        .collect();
    let answers = futures_all(same).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.0 == 202 && event_id(answer) == event_id(&answers[0])),
        "{answers:?}"
    );
    node.until_states("store", &["done"]).await;
    assert_eq!(node.rows("store", "t").await.len(), 1);
}

/// Every answer, the requests side by side.
async fn futures_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in pinned
            .iter_mut()
            .zip(&mut answers)
            .filter(|(_, answer)| answer.is_none())
        {
            if let std::task::Poll::Ready(found) = future.as_mut().poll(context) {
                *answer = Some(found);
            }
        }
        if answers.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

#[tokio::test]
async fn auto_replies_in_time_or_queues() {
    let slow = format!("mode = \"auto\"\nanswer_within = \"3s\"\n{OPEN}[settings]\nms = 9000\n");
    let setup = Setup::new().hook(
        "quick",
        &bundled("echo"),
        &format!("mode = \"auto\"\n{OPEN}"),
    );
    let node = setup
        .hook("slow", &guest("sleeps"), &slow)
        .serving("quick")
        .await;
    node.until("slow", "serving").await;
    let (status, body) = node.post("/quick", &[], "{\"a\":1}").await;
    assert_eq!(status, 200, "{body}");
    assert!(
        !body.contains("accepted"),
        "the handler's own reply: {body}"
    );
    let answer = node.post("/slow", &[], "{}").await;
    assert_eq!(answer.0, 202, "{answer:?}");
    let done = node.until_states("slow", &["done"]).await;
    assert_eq!(
        (&done[0]["event"], &done[0]["attempt"]),
        (&json!(event_id(&answer)), &json!(1))
    );
}

#[tokio::test]
async fn failures_are_retried_then_dead_lettered() {
    let file = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 3\n\
         backoff = {{ first = \"100ms\", factor = 1.0, max = \"100ms\", jitter = 0.0 }}\n"
    );
    let setup = Setup::new().hook("traps", &guest("traps"), &file);
    let node = setup
        .hook("rejects", &guest("rejects"), &file)
        .serving("traps")
        .await;
    node.until("rejects", "serving").await;
    let answer = node
        .post("/traps", &[("x-hub-signature", "hush")], "{}")
        .await;
    assert_eq!(
        answer.0, 202,
        "the caller is not told of what happens later"
    );
    let dead = node.until_states("traps", &["dead"]).await;
    assert_eq!(dead[0]["attempt"], 3);
    assert!(
        dead[0]["reason"].as_str().unwrap().starts_with("trap: "),
        "{dead:?}"
    );
    let shown = node
        .ask(&format!("/api/v1/events/{}", event_id(&answer)))
        .await;
    let starts: Vec<&str> = shown["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["started_at"].as_str().unwrap())
        .collect();
    assert!(
        starts.len() == 3 && starts[0] < starts[1] && starts[1] < starts[2],
        "{starts:?}"
    );
    assert!(
        !shown.to_string().contains("hush"),
        "signatures are masked: {shown}"
    );
    assert_eq!(node.post("/rejects", &[], "{}").await.0, 202);
    assert_eq!(
        node.until_states("rejects", &["dead"]).await[0]["attempt"],
        1,
        "a rejected event is dead at once"
    );

    let order = json!({ "hook": "traps", "dry_run": true });
    assert_eq!(node.order("/api/v1/replay", order).await["events"], 1);
    assert_eq!(node.deliveries("traps").await.len(), 1);
    let digest = node.hook("traps").await.unwrap()["digest"].clone();
    node.put("traps.wasm", std::fs::read(guest("answers_one")).unwrap());
    node.until_changed("traps", &digest).await;
    assert_eq!(
        node.order("/api/v1/replay", json!({ "events": [event_id(&answer)] }))
            .await["events"],
        1
    );
    let replayed = eventually("the replay is done", || async {
        let all = node.deliveries("traps").await;
        all.into_iter()
            .find(|one| one["replayed"] == true && one["state"] == "done")
    })
    .await;
    assert_eq!(replayed["event"], event_id(&answer));
    assert_eq!(node.deliveries("traps").await.len(), 2);
}

#[tokio::test]
async fn one_order_key_runs_in_order() {
    let file =
        format!("mode = \"async\"\norder_by = {{ json = \"/key\" }}\n{OPEN}[settings]\nms = 150\n");
    let node = Setup::new()
        .hook("slow", &guest("sleeps"), &file)
        .serving("slow")
        .await;
    let mut ids = Vec::new();
    for key in ["a", "a", "b", "a"] {
        let answer = node
            .post("/slow", &[], format!("{{\"key\":\"{key}\"}}"))
            .await;
        ids.push((key, event_id(&answer)));
    }
    node.until_states("slow", &["done"; 4]).await;
    let mut started = BTreeMap::new();
    for (_, id) in &ids {
        let shown = node.ask(&format!("/api/v1/events/{id}")).await;
        let at = shown["attempts"][0]["started_at"]
            .as_str()
            .unwrap()
            .to_owned();
        started.insert(id.clone(), humantime_ms(&at));
    }
    let of_a: Vec<i64> = ids
        .iter()
        .filter(|(key, _)| *key == "a")
        .map(|(_, id)| started[id])
        .collect();
    assert!(
        of_a.windows(2).all(|pair| pair[1] - pair[0] >= 140),
        "one after another: {of_a:?}"
    );
    assert!(
        started[&ids[2].1] < of_a[2],
        "the other key did not wait: {started:?}"
    );
}

/// Milliseconds of the day in an RFC 3339 time.
fn humantime_ms(text: &str) -> i64 {
    let clock = text.split('T').nth(1).unwrap().trim_end_matches('Z');
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) * 1000.0).round() as i64
}
