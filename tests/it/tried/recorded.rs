//! Which attempts are recorded, and how large a recording may be.

use std::time::{Duration, Instant};

use landfall_tests::{Receiver, Setup, eventually, guest};
use serde_json::json;

use super::{OPEN, order, report, shop, until_recorded};

#[tokio::test]
async fn only_failures_by_default() {
    for mode in ["sync", "async"] {
        let (node, _receiver) = shop(&format!("mode = \"{mode}\"\n")).await;
        order(&node, 0..10).await;
        until_recorded(&node, "shop", 1).await;
        let page = node.ask("/api/v1/recordings?hook=shop").await;
        let recordings = page["recordings"].as_array().unwrap();
        assert_eq!(recordings.len(), 1, "{page}");
        let recording = &recordings[0]["recording"];
        assert_eq!(recordings[0]["outcome"], "reject");
        assert_eq!(recording["result"]["reason"], "the order is void");

        let failed = ["--hook", "shop", "--failed", "--since", "1h"];
        let (report, code) = report(&node, &guest("shop"), &failed);
        assert_eq!((&report["same"], code), (&json!(1), Some(0)), "{report}");
    }
}

#[tokio::test]
async fn recording_can_be_off() {
    let (node, _receiver) = shop("mode = \"sync\"\n[record]\nfailures = false\n").await;
    order(&node, 0..10).await;
    node.settle().await;
    let page = node.ask("/api/v1/recordings?hook=shop").await;
    assert_eq!(page["recordings"], json!([]));
}

#[tokio::test]
async fn recordings_show_what_was_read() {
    let (node, receiver) = shop("mode = \"sync\"\n[record]\nrate = 1.0\nkeep = \"7d\"\n").await;
    order(&node, 5..6).await;
    until_recorded(&node, "shop", 1).await;
    let page = node.ask("/api/v1/recordings?hook=shop").await;
    let recording = &page["recordings"][0]["recording"];
    let call = &recording["calls"][0];
    assert_eq!(call["url"], receiver.url("/charge"), "{page}");
    assert_eq!(call["answer"]["answered"]["status"], 200, "{page}");
    assert_eq!(
        recording["values"],
        json!({ "orders": null, "seen:5": null }),
        "{page}"
    );
    assert_eq!(recording["settings"]["url"], receiver.url("/charge"));
    assert_eq!(recording["wall_clock_ns"].as_array().unwrap().len(), 1);
    assert_eq!(recording["result"]["rows"][0]["table"], "orders");
    assert!(recording["random"].is_object(), "{page}");
}

#[tokio::test]
async fn truncated_recordings_say_nothing() {
    let receiver = Receiver::start().await;
    receiver.say(&"x".repeat(300 << 10));
    let url = receiver.url("/");
    let file = format!(
        "deadline = \"10m\"\n[record]\nrate = 1.0\n{OPEN}[allow]\nhttp = [\"{url}\"]\n[settings]\nurl = \"{url}\"\n"
    );
    let node = Setup::new()
        .hook("calls", &guest("calls"), &file)
        .serving("calls")
        .await;
    node.post("/calls", &[], "{}").await;
    let series = "landfall_recordings_total{hook=\"calls\",result=\"truncated\"} 1";
    eventually("it is counted", || async {
        node.metrics().await.contains(series).then_some(())
    })
    .await;

    // It is not run: its call would wait for the answer that was cut until the deadline.
    let began = Instant::now();
    let (report, code) = report(&node, &guest("calls"), &["--hook", "calls"]);
    assert!(began.elapsed() < Duration::from_secs(30), "{report}");
    assert_eq!(
        (&report["truncated"], &report["differs"], code),
        (&json!(1), &json!(0), Some(1)),
        "{report}"
    );
    assert_eq!(report["groups"][0]["kind"], "truncated", "{report}");
}
