//! Components that know nothing of Landfall run unchanged: `wasi:http/incoming-handler@0.2`, under the same proof of the sender, the
//! same limits and the same way out.

use landfall_tests::{Receiver, Setup, guest};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

#[tokio::test]
async fn plain_responses_become_the_outcome() {
    let inside = Receiver::start().await;
    let file = format!("{OPEN}[allow]\nhttp = [\"{}\"]\n", inside.url("/granted"));
    let retried = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 2\nbackoff = {{ first = \"50ms\", factor = 1.0, max = \"50ms\" }}\n"
    );
    let setup = Setup::new().hook("plain", &guest("plain"), &file);
    let node = setup
        .hook("queued", &guest("plain"), &retried)
        .serving("plain")
        .await;
    node.until("queued", "serving").await;
    let (status, text) = node
        .post("/plain", &[("x-kind", "k")], "x".repeat(200_000))
        .await;
    assert_eq!(
        (status, text.as_str()),
        (
            200,
            "post true path /plain event 36 attempt 1 kind k body 200000"
        ),
        "{}",
        node.log()
    );
    // Which event it is only the host says.
    let forged = node
        .post(
            "/plain",
            &[("landfall-event", "forged"), ("landfall-attempt", "77")],
            "x",
        )
        .await;
    assert_eq!(
        forged.1,
        "post true path /plain event 36 attempt 1 kind  body 1"
    );
    let response = node
        .client
        .post(node.url("/plain?status=204"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-plain"]),
        (204, &"yes".parse().unwrap())
    );
    let busy = node
        .client
        .post(node.url("/plain?status=503"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            busy.status().as_u16(),
            busy.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "9")
    );
    assert_eq!(node.post("/plain?status=429", &[], "").await.0, 503);
    assert_eq!(
        node.post("/plain?status=404", &[], "").await.0,
        404,
        "another 4xx rejects the event, and the caller gets it"
    );
    assert_eq!(
        node.post("/plain?silent", &[], "").await.0,
        500,
        "no response is a trap"
    );
    // Its calls go out as those of any other component: what was not granted is denied.
    let called = node
        .post(
            &format!("/plain?call={}", inside.url("/granted/x")),
            &[],
            "",
        )
        .await;
    assert!(called.1.starts_with("200 "), "{called:?}");
    assert_eq!(
        inside.got()[0].headers["host"],
        inside.address.to_string().as_str()
    );
    let key = inside.got()[0].headers["idempotency-key"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        key.len(),
        36 + 1 + 16,
        "the event's id and a digest of the call: {key}"
    );
    let denied = node
        .post(&format!("/plain?call={}", inside.url("/other")), &[], "")
        .await;
    assert!(denied.1.contains("HttpRequestDenied"), "{denied:?}");
    let metadata = node
        .post("/plain?call=http://169.254.169.254/latest", &[], "")
        .await;
    assert!(metadata.1.contains("HttpRequestDenied"), "{metadata:?}");
    assert_eq!(inside.got().len(), 1);
    // In the queue it is retried and rejected by the same rules.
    node.post("/queued?status=500", &[], "").await;
    node.post("/queued?status=410", &[], "").await;
    let ended = node.until_states("queued", &["dead", "dead"]).await;
    assert_eq!(
        (ended[0]["attempt"].as_u64(), ended[1]["attempt"].as_u64()),
        (Some(2), Some(1))
    );
}
