//! Each alarm but silence and refusals: what opens it in a running node, and what closes it.

use std::time::SystemTime;

use landfall_tests::{Node, Receiver, Setup, bundled, guest, is_sqlite, sign};
use serde_json::{Value, json};

use super::scene::{LOOK, MovedClock, OPEN, alarms, is_over, is_told, only_alarm, watched};

const ASYNC: &str = "mode = \"async\"\n";

async fn started(setup: Setup, hook: &str) -> Node {
    let node = setup.serving(hook).await;
    node.until("alerts", "serving").await;
    // From the first look on, the node knows which answers are slow.
    tokio::time::sleep(LOOK).await;
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_are_told_once() {
    let service = Receiver::start().await;
    let file = service.hook_of_waits("answer_within = \"1s\"\n");
    let file = format!("{file}[watch]\ndead_letters = false\n");
    let setup = watched().hook("slow", &guest("waits"), &file);
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = started(setup, "slow").await;
    service.hold();
    for count in 0..3 {
        let open = alarms(&node).await;
        assert_eq!(open, Vec::<Value>::new(), "{count} slow answers");
        assert_eq!(node.post("/slow", &[], "{}").await.0, 504);
    }
    let opened = is_told(&node, "slow", "slow_answers").await;
    let sentence = opened["sentence"].as_str().unwrap();
    assert!(sentence.contains("longer than 900ms"), "{opened}");

    service.release();
    clock.advance_until(&node, 0).await;
    is_over(&node, &opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_challenges_are_told_once() {
    let file = "[verify]\nprovider = \"x-twitter\"\nsecret = \"env:SECRET\"\n";
    let setup = watched()
        .hook("x", &guest("answers_one"), file)
        .env("SECRET", "consumer-secret");
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = started(setup, "x").await;
    let check = async || {
        let url = node.url("/x?crc_token=abc");
        let answer = node.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    check().await;
    tokio::time::sleep(LOOK).await;
    for _ in 0..16 {
        clock.advance(9).await;
    }
    assert_eq!(alarms(&node).await.len(), 0, "a check may be late");
    clock.advance_until(&node, 1).await;
    let opened = is_told(&node, "x", "challenge").await;
    let sentence = opened["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("x-twitter repeats it every 1h"),
        "{opened}"
    );

    check().await;
    is_over(&node, &opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_challenges_are_told_once() {
    let file = "[verify]\nprovider = \"zoom\"\nsecret = \"env:SECRET\"\n";
    let setup = watched()
        .hook("zoom", &guest("answers_one"), file)
        .env("SECRET", "right");
    let node = started(setup, "zoom").await;
    let body = "{\"event\":\"endpoint.url_validation\",\"payload\":{\"plainToken\":\"t\"}}";
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs()
        .to_string();
    let check = async |secret: &str| {
        let mac = sign(secret, format!("v0:{now}:{body}").as_bytes());
        let mac = mac.replace("sha256", "v0");
        let headers = [
            ("x-zm-signature", mac.as_str()),
            ("x-zm-request-timestamp", now.as_str()),
            ("content-type", "application/json"),
        ];
        node.post("/zoom", &headers, body).await.0
    };
    assert_eq!(check("wrong").await, 401);
    let opened = is_told(&node, "zoom", "challenge").await;
    assert_eq!(check("wrong").await, 401);
    assert_eq!(check("right").await, 200);
    is_over(&node, &opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_events_are_told_once() {
    let file =
        "[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n[watch]\ndead_letters = false\n";
    let setup = watched()
        .hook("github", &guest("traps"), file)
        .env("SECRET", "secret");
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = started(setup, "github").await;
    let signature = sign("secret", b"{}");
    let headers = [
        ("x-github-event", "push"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let (status, _) = node.post("/github", &headers, "{}").await;
    assert!(status >= 500, "{status}");
    let opened = is_told(&node, "github", "server_errors").await;

    for _ in 0..3 {
        clock.advance(9).await;
    }
    assert_eq!(alarms(&node).await.len(), 1, "27 minutes");
    clock.advance_until(&node, 0).await;
    is_over(&node, &opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_backlogs_are_told_once() {
    let file = format!("{ASYNC}{OPEN}[watch]\nqueue_age = \"1s\"\n");
    let setup = watched().hook("waits", &bundled("echo"), &file);
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = started(setup, "waits").await;
    node.order("/api/v1/hooks/waits/pause", json!({})).await;
    assert_eq!(node.post("/waits", &[], "{}").await.0, 202);
    let opened = is_told(&node, "waits", "backlog").await;
    let hint = opened["hint"].as_str().unwrap();
    assert!(hint.contains("`landfall hooks resume waits`"), "{opened}");

    node.order("/api/v1/hooks/waits/resume", json!({})).await;
    node.until_states("waits", &["done"]).await;
    clock.advance_until(&node, 0).await;
    is_over(&node, &opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_told_once() {
    let file = format!("{ASYNC}{OPEN}");
    let setup = watched().hook("dead", &guest("rejects"), &file);
    let node = started(setup, "dead").await;
    assert_eq!(node.post("/dead", &[], "{}").await.0, 202);
    let opened = is_told(&node, "dead", "dead_letters").await;
    assert_eq!(node.post("/dead", &[], "{}").await.0, 202);
    node.until_states("dead", &["dead"; 2]).await;

    let mut command = node.command();
    command.args(["events", "discard", "--hook", "dead", "--reason", "known"]);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    is_over(&node, &opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disks_are_told_once() {
    if !is_sqlite() {
        return;
    }
    let setup = watched()
        .env("LANDFALL_WATCH_DISK", "true")
        .env("LANDFALL_WATCH_DISK_FREE", "1000TiB");
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = setup.serving("alerts").await;
    let opened = is_told(&node, "-", "disk").await;

    let setup = node.killed().env("LANDFALL_WATCH_DISK_FREE", "1KiB");
    let node = setup.serving("alerts").await;
    only_alarm(&node, "-", "disk").await;
    clock.advance_until(&node, 0).await;
    is_over(&node, &opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_secrets_are_told_once() {
    let file = |expires: &str| {
        format!(
            "mode = \"sync\"\n[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n\
             [watch]\nsecret_expires = \"{expires}\"\n"
        )
    };
    let setup = watched()
        .hook(
            "github",
            &guest("answers_one"),
            &file("2020-01-31T00:00:00Z"),
        )
        .env("SECRET", "secret");
    let node = setup.serving("github").await;
    node.until("alerts", "serving").await;
    let opened = is_told(&node, "github", "secret").await;
    let sentence = opened["sentence"].as_str().unwrap();
    assert_eq!(sentence, "the secret has expired on 2020-01-31T00:00:00Z");

    node.put("github.toml", file("2999-01-31T00:00:00Z"));
    is_over(&node, &opened).await;
}
