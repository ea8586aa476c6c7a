//! Every refused request is visible to the operator: a log line, a counter, an entry of `/api/v1/refusals` with a hint, and `explain`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;
use std::time::Duration;

use landfall_tests::{Node, Setup, eventually, guest};
use serde_json::Value;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// Sends bytes, and reads what comes until the node closes the connection.
fn raw(node: &Node, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(node.public).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The newest entry of this hook and reason.
async fn entry(node: &Node, hook: &str, reason: &str) -> Value {
    eventually(
        &format!("{hook} has an entry {reason}\n{}", node.log()),
        || async {
            let all = node.ask("/api/v1/refusals").await;
            all.as_array()
                .unwrap()
                .iter()
                .find(|one| one["hook"] == hook && one["reason"] == reason)
                .cloned()
        },
    )
    .await
}

/// Whether a refusal has its log line and its counter, and what its entry says.
async fn told(node: &Node, hook: &str, reason: &str, status: u64) -> (String, String) {
    let entry = entry(node, hook, reason).await;
    assert_eq!(entry["status"], status, "{entry}");
    node.logged("a line", |line| {
        line["hook"] == hook && line["reason"] == reason && line["status"] == status
    })
    .await;
    let metrics = node.metrics().await;
    let counter = format!("landfall_refused_total{{hook=\"{hook}\",reason=\"{reason}\"}} ");
    assert!(metrics.contains(&counter), "{counter}: {metrics}");
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    (text("detail"), text("hint"))
}

#[tokio::test]
async fn every_status_is_explained() {
    let slow = format!("concurrency = 1\nmode = \"sync\"\n{OPEN}[settings]\nms = 20000\n");
    let setup = Setup::new()
        .hook(
            "github",
            &guest("answers_one"),
            &format!("max_body = \"1KiB\"\n{OPEN}"),
        )
        .hook("slow", &guest("sleeps"), &slow)
        .hook("closed", &guest("answers_one"), "")
        .env("LANDFALL_LIMITS_HEAD_TIMEOUT", "1s");
    let node = setup.serving("github").await;
    node.until("slow", "serving").await;
    node.until("closed", "closed").await;

    assert_eq!(node.post("/git-hub", &[], "{}").await.0, 404);
    let (detail, hint) = told(&node, "-", "unknown_path", 404).await;
    assert!(
        detail.contains("POST /git-hub") && hint.contains("did you mean /github?"),
        "{detail} {hint}"
    );

    assert_eq!(
        node.client
            .get(node.url("/github"))
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
    let (detail, hint) = told(&node, "github", "method_not_allowed", 405).await;
    assert!(
        detail.contains("GET") && detail.contains("POST") && hint.contains("github.toml"),
        "{detail} {hint}"
    );

    assert_eq!(node.post("/github", &[], vec![b'x'; 2000]).await.0, 413);
    let (detail, hint) = told(&node, "github", "body_too_large", 413).await;
    assert!(
        detail.contains("2000 bytes") && detail.contains("1024"),
        "{detail}"
    );
    assert!(hint.contains("raise max_body in github.toml"), "{hint}");

    raw(
        &node,
        b"POST /github HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{",
    );
    assert!(
        told(&node, "github", "body_timeout", 408)
            .await
            .1
            .contains("limits.body_timeout")
    );

    raw(
        &node,
        b"POST /github HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    );
    told(&node, "github", "body_broken", 400).await;

    raw(
        &node,
        b"POST /github HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 0\r\n\r\n",
    );
    assert!(
        told(&node, "github", "bad_head", 400)
            .await
            .0
            .contains("more than one host header")
    );

    raw(&node, b"nonsense\r\n\r\n");
    told(&node, "-", "bad_head", 400).await;

    raw(
        &node,
        format!(
            "POST /github HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "x: y\r\n".repeat(200)
        )
        .as_bytes(),
    );
    told(&node, "-", "head_too_large", 431).await;

    assert_eq!(node.post("/closed", &[], "{}").await.0, 503);
    let (detail, hint) = told(&node, "closed", "closed", 503).await;
    assert!(
        detail.contains("[verify]")
            && hint.contains("closed.toml")
            && hint.contains("env:CLOSED_SECRET"),
        "{hint}"
    );

    // One of them gets the only permit and sleeps, the other one is answered first.
    let first = tokio::select! {
        one = node.post("/slow", &[], "{}") => one,
        other = node.post("/slow", &[], "{}") => other,
    };
    assert_eq!(first.0, 503, "{first:?} {}", node.log());
    assert!(
        told(&node, "slow", "busy", 503)
            .await
            .1
            .contains("concurrency")
    );
}

#[tokio::test]
async fn failed_handshakes_say_why() {
    let meta =
        "[verify]\nprovider = \"meta\"\nsecret = \"env:APP\"\nchallenge_secret = \"env:TOKEN\"\n";
    let hub = "[verify]\nprovider = \"websub\"\nsecret = \"env:APP\"\nconfig = { topics = [\"https://a.example/feed\"] }\n";
    let okta = "[verify]\nprovider = \"okta\"\nsecret = \"env:APP\"\n";
    let setup = Setup::new().hook("meta", &guest("answers_one"), meta).hook(
        "hub",
        &guest("answers_one"),
        hub,
    );
    let setup = setup.hook("okta", &guest("answers_one"), okta);
    let node = setup
        .env("APP", "app")
        .env("TOKEN", "right-token")
        .serving("meta")
        .await;
    node.until("hub", "serving").await;
    node.until("okta", "serving").await;
    let get = async |path: &str| node.client.get(node.url(path)).send().await.unwrap();

    let wrong = get("/meta?hub.mode=subscribe&hub.verify_token=wrong-token&hub.challenge=17").await;
    assert_eq!(
        (
            wrong.status().as_u16(),
            wrong.text().await.unwrap().as_str()
        ),
        (403, "")
    );
    let (detail, hint) = told(&node, "meta", "challenge_refused", 403).await;
    assert!(
        detail.contains("hub.verify_token") && hint.contains("env:TOKEN"),
        "{detail} {hint}"
    );

    assert_eq!(get("/meta").await.status(), 405);
    let (_, hint) = told(&node, "meta", "method_not_allowed", 405).await;
    assert!(
        hint.contains("ownership check") && hint.contains("hub.challenge"),
        "{hint}"
    );

    // The token is right, and something else is wrong: the hint does not blame the token.
    assert_eq!(
        get("/meta?hub.mode=unsubscribe&hub.verify_token=right-token&hub.challenge=17")
            .await
            .status(),
        403
    );
    let (detail, hint) = told(&node, "meta", "challenge_refused", 403).await;
    assert!(
        detail.contains("`hub.mode`") && !hint.contains("env:TOKEN"),
        "{detail} {hint}"
    );
    assert!(
        hint.contains("an ownership check of meta is a GET"),
        "{hint}"
    );

    let verification = async |token: &str| {
        let asked = node
            .client
            .get(node.url("/okta"))
            .header("x-okta-verification-challenge", "c1");
        asked
            .header("authorization", token)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(
        (verification("app").await, verification("wrong").await),
        (200, 401)
    );
    let (_, hint) = told(&node, "okta", "token_mismatch", 401).await;
    assert!(hint.contains("env:APP"), "{hint}");
    assert_eq!(get("/okta").await.status(), 405);

    let topic = "/hub?hub.mode=subscribe&hub.topic=https%3A%2F%2Fb.example%2Ffeed&hub.challenge=17";
    assert_eq!(get(topic).await.status(), 404);
    let (detail, hint) = told(&node, "hub", "topic_not_allowed", 404).await;
    assert!(
        detail.contains("https://b.example/feed") && hint.contains("hub.toml"),
        "{detail} {hint}"
    );
    assert!(!node.log().contains("right-token"));
}

#[tokio::test]
async fn noise_hides_no_other_refusal() {
    let node = Setup::new()
        .hook("github", &guest("answers_one"), OPEN)
        .serving("github")
        .await;
    assert_eq!(
        node.client
            .get(node.url("/github"))
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
    for number in 0..400 {
        assert_eq!(
            node.post(&format!("/scan/{number}.php"), &[], "").await.0,
            404
        );
    }

    let all = node.ask("/api/v1/refusals").await;
    let kinds = |reason: &str| {
        all.as_array()
            .unwrap()
            .iter()
            .filter(|one| one["reason"] == reason)
            .count()
    };
    assert_eq!(
        (kinds("method_not_allowed"), kinds("unknown_path")),
        (1, 10),
        "{all}"
    );
    assert_eq!(
        (
            all[0]["count"].as_u64(),
            all[0]["detail"].as_str().unwrap().contains("399.php")
        ),
        (Some(400), true)
    );
    let lines = node.log().matches("\"reason\":\"unknown_path\"").count();
    assert!(lines < 20, "{lines} lines");
    // A slow machine may need more than one such window.
    eventually("the rest is counted", || async {
        (suppressed(&node) > 300).then_some(())
    })
    .await;
    node.until_log("more in the last 10 s)").await;
}

/// How many lines the log says that it has held back.
fn suppressed(node: &Node) -> u64 {
    let log = node.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line["suppressed"].as_u64()).sum()
}

#[tokio::test]
async fn explain_knows_hooks_and_their_errors() {
    let setup = Setup::new().hook("github", &guest("answers_one"), OPEN);
    let node = setup
        .file(
            "broken.toml",
            "component = \"github.wasm\"\nmodee = \"sync\"\n",
        )
        .serving("github")
        .await;
    node.until("broken", "unavailable").await;
    let run = |args: &[&str]| node.command().args(args).output().unwrap();
    let said = |output: &Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
    };

    let broken = run(&["explain", "broken"]);
    assert!(
        broken.status.success() && said(&broken).contains("did you mean `mode`?"),
        "{}",
        said(&broken)
    );
    let json = run(&["explain", "broken", "--json"]);
    let object: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (object["hook"].as_str(), object["state"].as_str()),
        (Some("broken"), Some("unavailable")),
        "{object}"
    );

    let unknown = run(&["explain", "githup"]);
    assert_eq!(
        (unknown.status.code(), unknown.stdout.len()),
        (Some(1), 0),
        "{}",
        said(&unknown)
    );
    assert!(
        said(&unknown).contains("no hook `githup`: did you mean `github`?"),
        "{}",
        said(&unknown)
    );

    let quiet = run(&["explain", "github"]);
    assert_eq!(
        said(&quiet),
        "no request was refused since the node has started\n"
    );
}
