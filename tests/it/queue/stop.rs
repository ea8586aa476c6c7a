//! Stops, kills and full disks.

use landfall_tests::{Receiver, Setup, bundled, eventually, guest, is_sqlite};

use super::{OPEN, store};

#[tokio::test]
async fn pending_and_running_events_survive_kills() {
    let slow = format!("mode = \"async\"\nconcurrency = 2\n{OPEN}[settings]\nms = 400\n");
    let node = Setup::new()
        .hook("slow", &guest("sleeps"), &slow)
        .serving("slow")
        .await;
    for _ in 0..6 {
        assert_eq!(node.post("/slow", &[], "{}").await.0, 202);
    }
    let node = node.killed().serving("slow").await;
    let done = node.until_states("slow", &["done"; 6]).await;
    assert!(
        done.iter().all(|one| one["attempt"].as_u64().unwrap() <= 2),
        "{done:?}"
    );
}

#[tokio::test]
async fn a_stop_releases_running_events() {
    let slow = format!("mode = \"async\"\n{OPEN}[settings]\nms = 60000\n");
    let setup = Setup::new()
        .hook("slow", &guest("sleeps"), &slow)
        .env("LANDFALL_DRAIN", "500ms");
    let mut node = setup.serving("slow").await;
    assert_eq!(node.post("/slow", &[], "{}").await.0, 202);
    node.until_states("slow", &["running"]).await;
    node.terminate();
    assert!(node.ended().await.success());
    node.logged("it was given back", |line| {
        line["message"]
            .as_str()
            .unwrap_or_default()
            .contains("given back")
    })
    .await;
    let node = node.killed().start().await;
    node.put("slow.wasm", std::fs::read(guest("answers_one")).unwrap());
    let found = eventually("it is run again", || async {
        node.deliveries("slow")
            .await
            .into_iter()
            .find(|one| one["state"] != "pending")
    })
    .await;
    assert_eq!(
        found["attempt"], 1,
        "an attempt that was handed back has not begun"
    );
}

#[tokio::test]
async fn a_full_disk_accepts_nothing() {
    if !is_sqlite() {
        return;
    }
    let setup = Setup::new().hook("store", &bundled("store"), &store("async"));
    let node = setup
        .env("LANDFALL_LEDGER_MIN_FREE_SPACE", "1048576TiB")
        .serving("store")
        .await;
    let (status, body) = node.post("/store", &[("id", "1")], "{\"n\":1}").await;
    assert_eq!((status, body.as_str()), (503, "{\"error\":\"not stored\"}"));
    assert_eq!(node.readyz().await, 503);
    assert!(node.deliveries("store").await.is_empty());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let receiver = Receiver::start().await;
    receiver.hold();
    let slow = receiver.hook_of_waits("mode = \"async\"\n");
    let mut node = Setup::new()
        .hook("slow", &guest("waits"), &slow)
        .serving("slow")
        .await;
    assert_eq!(node.post("/slow", &[], "").await.0, 202);
    receiver.until_called(1).await;
    node.terminate();
    node.until_log("asked to stop").await;
    node.terminate();
    assert_eq!(node.ended().await.code(), Some(130));
    receiver.release();
    let node = node.killed().serving("slow").await;
    node.until_states("slow", &["done"]).await;
}
