//! Rules that a pack of an operator sets for its answers.

use landfall_tests::{Node, Setup, guest};

use super::{Answer, JSON, TOO_LARGE, expected, post, post_reply, with_hooks, with_keys};

/// Packs of the operator, one for each thing that a pack can say.
const RULES: [(&str, &str); 6] = [
    ("only-200", "success = [200]"),
    ("no-content", "success = [204]"),
    (
        "fixed",
        "success = [200]\nreply_body = \"accepted\"\n\
         accepted = { body = \"Hello\", headers = { content-type = \"text/plain\" } }",
    ),
    (
        "twiml",
        "accepted = { status = 200, body = \"\", headers = { content-type = \"text/xml\" } }\n\
         reply_types = [\"text/xml\"]",
    ),
    ("strict", "avoid_status = [\"4xx\", \"500\", \"504\"]"),
    ("silent", "success = [200, 204]\nreply_body = \"empty\""),
];

fn with_pack(setup: Setup, name: &str, rules: &str) -> Setup {
    let pack = format!(
        "name = \"Test\"\n{rules}\n[verify]\nscheme = \"token\"\nfrom = {{ header = \"Token\" }}\n"
    );
    let setup = setup.file(&format!("providers/{name}.toml"), &pack);
    with_hooks(setup, &expected(name, &pack))
}

async fn node_of_rules(more: &[(&str, &str)]) -> Node {
    let setup = Setup::new().file("replies.wasm", std::fs::read(guest("replies")).unwrap());
    std::fs::create_dir(setup.plugins().join("providers")).unwrap();
    let setup = RULES
        .iter()
        .fold(setup, |setup, (name, rules)| with_pack(setup, name, rules));
    let setup = more.iter().fold(setup, |setup, (name, text)| {
        setup.file(&format!("{name}.toml"), text)
    });
    // Some of these hooks must not load.
    let node = with_keys(setup)
        .env("LANDFALL_READINESS", "any")
        .start()
        .await;
    node.until_ready().await;
    node
}

#[tokio::test]
async fn replies_become_what_is_taken() {
    let node = node_of_rules(&[]).await;
    let got = |status, content_type: &str, body: &str| Answer {
        status,
        content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
        body: body.to_owned(),
    };
    let (json, xml) = (
        "application/json",
        "<Response><Message>hi</Message></Response>",
    );
    for (pack, status, content_type, body, expected) in [
        ("only-200", "202", json, JSON, got(200, json, JSON)),
        ("only-200", "204", json, "", got(200, json, "")),
        ("only-200", "410", json, JSON, got(410, json, JSON)),
        ("no-content", "200", json, JSON, got(204, "", "")),
        ("fixed", "200", json, JSON, got(200, "text/plain", "Hello")),
        ("fixed", "201", json, JSON, got(200, "text/plain", "Hello")),
        ("fixed", "503", json, JSON, got(503, json, JSON)),
        ("twiml", "200", json, JSON, got(200, "text/xml", "")),
        (
            "twiml",
            "200",
            "text/xml; charset=utf-8",
            xml,
            got(200, "text/xml; charset=utf-8", xml),
        ),
        ("strict", "200", json, JSON, got(200, json, JSON)),
        (
            "strict",
            "410",
            json,
            JSON,
            got(503, json, r#"{"error":"unavailable"}"#),
        ),
        ("strict", "502", json, JSON, got(502, json, JSON)),
        ("silent", "202", json, JSON, got(200, "", "")),
        ("silent", "500", json, JSON, got(500, "", "")),
    ] {
        let reply = post_reply(&node, pack, status, content_type, body).await;
        assert_eq!(reply, expected, "{pack}: {status} {content_type}");
    }
}

#[tokio::test]
async fn punished_statuses_are_never_sent() {
    let hook = "component = \"replies.wasm\"\nmode = \"sync\"\n[verify]\nprovider = \"strict\"\n\
         scheme = \"none\"\n";
    let node = node_of_rules(&[("strict-sync", hook)]).await;
    let reject = post(&node, "strict-sync", &[("x-fail", "no")], "{}").await;
    let unproven = post(&node, "strict-proof", &[], "{}").await;
    let large = post(&node, "strict-now", &[], vec![b'x'; TOO_LARGE]).await;
    let headers: Vec<(String, String)> = (0..70)
        .map(|at| (format!("x-{at}"), "y".repeat(1000)))
        .collect();
    let pairs: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let large_head = post(&node, "strict-now", &pairs, "{}").await;
    for (what, answer) in [
        ("reject", reject),
        ("proof", unproven),
        ("body", large),
        ("head", large_head),
    ] {
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (503, r#"{"error":"unavailable"}"#),
            "{what}"
        );
    }
    let response = node
        .client
        .delete(node.url("/strict-now"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["retry-after"].as_bytes()
        ),
        (503, &b"30"[..])
    );
    // Once in the log, each time in the metrics.
    post(&node, "strict-proof", &[], "{}").await;
    let metrics = node.metrics().await;
    let line = "landfall_avoided_statuses_total{hook=\"strict-proof\",status=\"401\"} 2";
    assert!(metrics.contains(line), "{metrics}");
    let logged = node
        .log()
        .lines()
        .filter(|line| line.contains("punishes") && line.contains("strict-proof"))
        .count();
    assert_eq!(logged, 1, "{}", node.log());
}

#[tokio::test]
async fn accepted_must_fit_the_provider() {
    let hook = |pack: &str, accepted: &str| {
        format!(
            "component = \"replies.wasm\"\nmode = \"async\"\n[verify]\nprovider = \"{pack}\"\n\
             scheme = \"none\"\n[accepted]\n{accepted}\n"
        )
    };
    let (wrong, body, good) = (
        hook("only-200", "status = 202"),
        hook("no-content", "body = \"x\""),
        hook(
            "only-200",
            "body = \"ok {event}\"\nheaders = { content-type = \"text/plain\" }",
        ),
    );
    let node = node_of_rules(&[("wrong", &wrong), ("body", &body), ("good", &good)]).await;
    for (name, why) in [
        (
            "wrong",
            "wrong.toml:7:1: Test treats 202 as a failure: write 200",
        ),
        (
            "body",
            "body.toml:7:1: the answer to Test has status 204, which has no body: leave it out",
        ),
    ] {
        assert_eq!(node.hook(name).await.unwrap()["problem"], why);
    }
    let answer = post(&node, "good", &[], "{}").await;
    assert_eq!(
        (answer.status, answer.content_type.as_deref()),
        (200, Some("text/plain"))
    );
    assert!(answer.body.starts_with("ok "), "{answer:?}");
}
