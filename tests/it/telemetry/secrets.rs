//! Nothing secret reaches a collector or a request line: no body, no header, no query, no path of a
//! call.

use landfall_tests::{Receiver, Setup, eventually, guest, sign};

use super::collector::Collector;
use super::{OPEN, sends_to};

const SECRET: &str = "canary-secret-81";

#[tokio::test]
async fn no_secret_reaches_the_collector() {
    let (collector, receiver) = (Collector::start().await, Receiver::start().await);
    receiver.say("canary-in-the-answer");
    let github = "[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n";
    let calls = format!(
        "path = \"/calls/{{token}}\"\n{OPEN}[settings]\nurl = \"{}?key=canary-query\"\n\
         [allow]\nhttp = [\"{}\"]\n",
        receiver.url("/canary-path/of-the-call"),
        receiver.url("/")
    );
    let setup = Setup::new()
        .hook("github", &guest("answers_one"), github)
        .hook("calls", &guest("calls"), &calls)
        .hook("retries", &guest("retries"), OPEN)
        .env("SECRET", SECRET)
        .env("COLLECTOR", "Bearer canary-of-the-collector")
        .env("LANDFALL_TELEMETRY_AUTHORIZATION", "env:COLLECTOR")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=canary-of-the-scope");
    let node = sends_to(&collector, setup).serving("github").await;
    for hook in ["calls", "retries"] {
        node.until(hook, "serving").await;
    }

    let body = "{\"canary\": \"canary-body\"}";
    let signature = sign(SECRET, body.as_bytes());
    let signed = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-event", "push"),
        ("x-canary", "canary-header"),
        ("user-agent", "canary-agent"),
    ];
    assert_eq!(node.post("/github?q=canary-q", &signed, body).await.0, 200);
    let wrong = [("x-hub-signature-256", "sha256=canary-wrong")];
    assert_eq!(node.post("/github", &wrong, body).await.0, 401);
    let token = "/calls/canary-token-0123456789";
    assert_eq!(node.post(token, &[], body).await.0, 200);
    assert_eq!(node.post("/retries", &[], body).await.0, 503);
    assert_eq!(node.post("/canary-nowhere", &[], body).await.0, 404);
    let odd = reqwest::Method::from_bytes(b"CANARY").unwrap();
    let odd = node.client.request(odd, node.url("/github")).send().await;
    assert_eq!(odd.unwrap().status(), 405);

    eventually("six requests are traced", || async {
        let requests = collector.spans().into_iter().filter(|span| span.kind == 2);
        (requests.count() == 6).then_some(())
    })
    .await;
    for got in collector.receiver.got() {
        assert_eq!(
            got.headers["authorization"],
            "Bearer canary-of-the-collector"
        );
        assert_eq!(got.headers["x-scope"], "canary-of-the-scope");
        let text = String::from_utf8_lossy(&got.body).to_lowercase();
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("secret reason"), "{text}");
    }

    let log = node.log();
    for canary in [
        SECRET,
        "canary-body",
        "canary-header",
        "canary-agent",
        "canary-query",
        "canary-q\"",
        "canary-token",
        "canary-of-the-collector",
        "canary-of-the-scope",
        "canary-in-the-answer",
    ] {
        assert!(!log.contains(canary), "{canary}:\n{log}");
    }
    assert!(!node.metrics().await.contains("canary"));
}

#[tokio::test]
async fn hook_files_cannot_name_the_token() {
    let collector = Collector::start().await;
    let hook = "[verify]\nprovider = \"github\"\nsecret = \"env:COLLECTOR\"\n";
    let setup = Setup::new()
        .hook("thief", &guest("answers_one"), hook)
        .env("COLLECTOR", "Bearer canary-of-the-collector")
        .env("LANDFALL_TELEMETRY_AUTHORIZATION", "env:COLLECTOR");
    let node = sends_to(&collector, setup).start().await;
    let problem = eventually("the hook is refused", || async {
        let hook = node.hook("thief").await?;
        let problem = hook["problem"].as_str()?.to_owned();
        problem.contains("COLLECTOR").then_some(problem)
    })
    .await;
    assert!(!problem.contains("canary"), "{problem}");
    assert_eq!(node.post("/thief", &[], "{}").await.0, 503);
}
