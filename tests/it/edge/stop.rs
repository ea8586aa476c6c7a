//! Full hooks, hang-ups, the drain after SIGTERM, and health.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use landfall_tests::{Receiver, Setup, eventually, guest};

use super::{OPEN, node};

/// The hook `slow` serves. Its attempts run until the receiver releases them.
async fn held() -> (Receiver, Setup) {
    let receiver = Receiver::start().await;
    receiver.hold();
    let hook = receiver.hook_of_waits("concurrency = 1\n");
    (receiver, Setup::new().hook("slow", &guest("waits"), &hook))
}

#[tokio::test]
async fn a_full_hook_answers_503() {
    let (receiver, setup) = held().await;
    let node = Arc::new(setup.serving("slow").await);
    let first = tokio::spawn({
        let node = node.clone();
        async move { node.post("/slow", &[], "{}").await.0 }
    });
    receiver.until_called(1).await;
    let response = node.client.post(node.url("/slow")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    receiver.release();
    assert_eq!(first.await.unwrap(), 200);
}

#[tokio::test]
async fn hang_ups_do_not_end_handlers() {
    let (receiver, setup) = held().await;
    let node = setup.serving("slow").await;
    let mut caller = TcpStream::connect(node.public).unwrap();
    caller
        .write_all(b"POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}")
        .unwrap();
    receiver.until_called(1).await;
    drop(caller);
    node.settle().await;
    receiver.release();
    node.logged("the attempt ends well", |line| line["outcome"] == "done")
        .await;
}

/// On HTTP/2 a node hears at once that a caller has hung up, and drops the request.
#[tokio::test]
async fn reset_streams_do_not_end_handlers() {
    let (receiver, setup) = held().await;
    let mut node = setup.arg("--http2").serving("slow").await;
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let request = client.build().unwrap().post(node.url("/slow")).body("{}");
    let caller = tokio::spawn(request.send());
    receiver.until_called(1).await;
    caller.abort();
    let hung_up = r#"landfall_requests_total{hook="slow",outcome="hung-up",status_class="none"} 1"#;
    eventually("the caller is gone", || async {
        node.metrics().await.contains(hung_up).then_some(())
    })
    .await;

    // The attempt still has the permit of its hook, and a stop waits for it.
    assert_eq!(node.post("/slow", &[], "{}").await.0, 503);
    node.terminate();
    node.until_log("asked to stop").await;
    receiver.release();
    node.logged("the attempt ends well", |line| line["outcome"] == "done")
        .await;
    assert!(node.ended().await.success());
}

#[tokio::test]
async fn sigterm_drains_and_accepts_nothing_new() {
    let (receiver, setup) = held().await;
    let mut node = setup.serving("slow").await;
    let running = tokio::spawn(node.client.post(node.url("/slow")).body("{}").send());
    receiver.until_called(1).await;
    node.terminate();
    node.until_log("asked to stop").await;
    receiver.release();
    assert_eq!(running.await.unwrap().unwrap().status().as_u16(), 200);
    assert!(node.ended().await.success());
    assert!(TcpStream::connect(node.public).is_err());
}

#[tokio::test]
async fn sigterm_ends_within_the_drain() {
    let (receiver, setup) = held().await;
    let mut node = setup.env("LANDFALL_DRAIN", "1s").serving("slow").await;
    let running = tokio::spawn(node.client.post(node.url("/slow")).body("{}").send());
    receiver.until_called(1).await;
    node.terminate();
    assert!(node.ended().await.success());
    assert!(running.await.unwrap().is_err());
}

#[tokio::test]
async fn health_readiness_and_the_admin_token() {
    let node = node("").await;
    let get = async |path: &str| {
        node.client
            .get(format!("http://{}{path}", node.admin))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(
        (
            get("/healthz").await,
            get("/readyz").await,
            get("/api/v1/hooks").await
        ),
        (200, 200, 401)
    );
    assert_eq!(
        node.admin_get("/api/v1/hooks")
            .send()
            .await
            .unwrap()
            .status(),
        200,
        "the node's own token"
    );
    let setup = Setup::new().hook("hook", &guest("answers_one"), OPEN);
    let guarded = setup
        .env("LANDFALL_ADMIN_TOKEN", "env:ADMIN")
        .env("ADMIN", "t0ken")
        .start()
        .await;
    let ask = async |path: &str, token: &str| {
        let request = guarded
            .client
            .get(format!("http://{}{path}", guarded.admin))
            .bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    eventually("ready", || async {
        (ask("/readyz", "").await == 200).then_some(())
    })
    .await;
    assert_eq!(
        (
            ask("/api/v1/hooks", "no").await,
            ask("/api/v1/hooks", "t0ken").await
        ),
        (401, 200)
    );
}
