//! The answer that each provider expects, for every pack: from the host and from handlers, to good requests and to bad ones.

use std::collections::BTreeMap;

use landfall_tests::{Node, Setup, guest, root};
use reqwest::Response;

/// Of a pack, what its answers depend on.
struct Expected {
    name: String,
    /// None: any 2xx.
    success: Option<Vec<u16>>,
    avoided: Vec<String>,
    reply_body: String,
    reply_types: Vec<String>,
    accepted_body: Option<String>,
    accepted_type: Option<String>,
    /// Values that its scheme reads.
    config: BTreeMap<String, String>,
    /// An ownership check shows a token of its own.
    has_verify_token: bool,
    /// The provider's public keys are fetched: there is no secret.
    has_key_set: bool,
    /// The token is the last segment of the path.
    token_in_path: bool,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: u16,
    content_type: Option<String>,
    body: String,
}

const JSON: &str = r#"{"from":"the handler"}"#;
const TOO_LARGE: usize = 5000;
/// A public key on Ed25519, in PEM.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
/// A public key on P-256: SubjectPublicKeyInfo in base64.
const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";

fn texts(value: Option<&toml::Value>) -> Vec<String> {
    let all = value
        .and_then(|value| value.as_array())
        .into_iter()
        .flatten();
    all.filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}

/// Whether a line of a pack says that the provider's keys are public and fetched.
fn fetches_keys(line: &str) -> bool {
    const SCHEMES: [&str; 5] = [
        "aws-sns",
        "adobe-io",
        "paypal",
        "apple-app-store",
        "detached-jws",
    ];
    let (key, value) = line.split_once('=').unwrap_or_default();
    match key.trim() {
        "key_set" | "jwks" => true,
        "scheme" => SCHEMES.contains(&value.trim().trim_matches('"')),
        "jwt" => value.contains("jwks"),
        _ => false,
    }
}

fn expected(name: &str, text: &str) -> Expected {
    let pack: toml::Table = text
        .parse()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let accepted = pack
        .get("accepted")
        .and_then(|value| value.as_table())
        .cloned()
        .unwrap_or_default();
    let text_of =
        |value: Option<&toml::Value>| value.and_then(|value| value.as_str()).map(str::to_owned);
    let headers = accepted
        .get("headers")
        .and_then(|value| value.as_table())
        .cloned()
        .unwrap_or_default();
    let content_type = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let success = pack.get("success").and_then(|value| value.as_array());
    let two_hundreds = |all: &Vec<toml::Value>| {
        all.iter()
            .filter_map(|one| u16::try_from(one.as_integer()?).ok())
            .filter(|one| one / 100 == 2)
            .collect()
    };
    let mut config: BTreeMap<String, String> = text
        .split("{config.")
        .skip(1)
        .filter_map(|rest| {
            Some((
                rest.split_once('}')?.0.to_owned(),
                "https://a.example/".to_owned(),
            ))
        })
        .collect();
    for (key, about) in pack
        .get("config")
        .and_then(|value| value.as_table())
        .into_iter()
        .flatten()
    {
        if let Some(example) = text_of(about.get("example")) {
            config.insert(key.clone(), example);
        }
    }
    Expected {
        name: name.to_owned(),
        success: success.map(two_hundreds),
        avoided: texts(pack.get("avoid_status")),
        reply_body: text_of(pack.get("reply_body")).unwrap_or_default(),
        reply_types: texts(pack.get("reply_types")),
        accepted_body: text_of(accepted.get("body")),
        accepted_type: content_type.and_then(|(_, value)| text_of(Some(value))),
        config,
        has_verify_token: name == "ebay" || text.contains("query_secret"),
        has_key_set: text.lines().any(fetches_keys),
        token_in_path: text.contains("{ path = \"last\" }"),
    }
}

/// Every pack in the binary.
fn packs() -> Vec<Expected> {
    let files = std::fs::read_dir(root().join("host/verify/src/packs"))
        .unwrap()
        .map(|file| file.unwrap().path());
    let stem = |path: &std::path::Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files
        .map(|path| expected(&stem(&path), &std::fs::read_to_string(&path).unwrap()))
        .collect()
}

/// One key in each form that a pack may want: text, hexadecimal digits and base64 in one, an Ed25519 key, an RSA key.
fn with_keys(setup: Setup) -> Setup {
    setup
        .env(
            "TEST_HEX",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        )
        .env(
            "TEST_WHPK",
            "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        )
        .env("TEST_PEM", include_str!("../fixtures/rsa.pem"))
        .env("TEST_EC", P256)
        .env("TEST_ED", ED25519)
        .env("TEST_BASIC", "user:password")
}

/// Three hooks a provider: one that answers with the handler's reply, one that answers first, one that asks for proof.
fn with_hooks(setup: Setup, pack: &Expected) -> Setup {
    let name = &pack.name;
    let head = format!("component = \"replies.wasm\"\n[verify]\nprovider = \"{name}\"\n");
    let open = "scheme = \"none\"\nchallenge = []\n";
    let config: Vec<String> = pack
        .config
        .iter()
        .map(|(key, value)| format!("{key} = {value:?}"))
        .collect();
    let challenge = if pack.has_verify_token {
        "challenge_secret = \"env:TEST_HEX\"\n"
    } else {
        ""
    };
    let keys = "secret = [\"env:TEST_HEX\", \"env:TEST_WHPK\", \"env:TEST_PEM\", \"env:TEST_EC\", \"env:TEST_ED\", \"env:TEST_BASIC\"]\n";
    let secret = if pack.has_key_set { "" } else { keys };
    let closed = format!(
        "{challenge}{secret}public_url = \"https://a.example\"\nconfig = {{ {} }}\n",
        config.join(", ")
    );
    let path = if pack.token_in_path {
        format!("path = \"/{name}-proof/{{token}}\"\n")
    } else {
        String::new()
    };
    setup
        .file(
            &format!("{name}-now.toml"),
            format!("mode = \"auto\"\nmax_body = \"4KiB\"\n{head}{open}"),
        )
        .file(
            &format!("{name}-later.toml"),
            format!("mode = \"async\"\n{head}{open}"),
        )
        .file(
            &format!("{name}-proof.toml"),
            format!("mode = \"auto\"\n{path}{head}{closed}"),
        )
}

async fn answer(response: Response) -> Answer {
    let content_type = response
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: response.status().as_u16(),
        content_type,
        body: response.text().await.unwrap(),
    }
}

async fn post(
    node: &Node,
    hook: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Answer {
    let request = node.client.post(node.url(&format!("/{hook}"))).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    answer(request.send().await.unwrap()).await
}

async fn post_reply(
    node: &Node,
    pack: &str,
    status: &str,
    content_type: &str,
    body: &str,
) -> Answer {
    let headers = [("x-status", status), ("x-type", content_type)];
    post(node, &format!("{pack}-now"), &headers, body.to_owned()).await
}

// === impl Expected ===

impl Expected {
    fn is_avoided(&self, status: u16) -> bool {
        let status = status.to_string();
        let matches = |pattern: &String| match pattern.strip_suffix("xx") {
            Some(class) => status.starts_with(class),
            None => *pattern == status,
        };
        self.avoided.iter().any(matches)
    }

    fn check_success(&self, what: &str, answer: &Answer) {
        let is_taken = match &self.success {
            Some(success) => success.contains(&answer.status),
            None => answer.status / 100 == 2,
        };
        assert!(is_taken, "{}: {what}: {answer:?} is no success", self.name);
    }

    /// The body and type of the answer to an event that is handled later.
    fn check_accepted_content(&self, what: &str, answer: &Answer) {
        let name = &self.name;
        let has_none = self.reply_body == "empty" || answer.status == 204;
        match &self.accepted_body {
            _ if has_none => assert_eq!(answer.body, "", "{name}: {what}"),
            Some(body) if !body.contains("{event}") => {
                assert_eq!(answer.body, *body, "{name}: {what}")
            }
            Some(_) => {}
            None => assert!(
                answer.body.starts_with("{\"accepted\":true,"),
                "{name}: {what}: {answer:?}"
            ),
        }
        match &self.accepted_type {
            _ if has_none => assert_eq!(answer.content_type, None, "{name}: {what}"),
            Some(content_type) => assert_eq!(
                answer.content_type.as_ref(),
                Some(content_type),
                "{name}: {what}"
            ),
            None if answer.body.is_empty() => {
                assert_eq!(answer.content_type, None, "{name}: {what}")
            }
            None => assert_eq!(
                answer.content_type.as_deref(),
                Some("application/json"),
                "{name}: {what}"
            ),
        }
    }

    fn check_refusal(&self, what: &str, answer: &Answer) {
        assert!(answer.status >= 400, "{}: {what}: {answer:?}", self.name);
        assert!(
            !self.is_avoided(answer.status),
            "{}: {what}: {answer:?} costs the webhook",
            self.name
        );
        if self.reply_body == "empty" {
            assert_eq!(answer.body, "", "{}: {what}", self.name);
        }
    }
}

/// What providers were seen to need: pack, then status, type and body of the answer in mode async, then of the answer to a
/// handler that replies 202 and JSON; none: the JSON.
type Row = (
    &'static str,
    (u16, Option<&'static str>, &'static str),
    (u16, Option<&'static str>, Option<&'static str>),
);

const NAMED: [Row; 12] = [
    (
        "smartsheet",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "linear",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "figma",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "meta",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "docusign",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "x-twitter",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "line",
        (200, Some("application/json"), "{\"accepted\":"),
        (200, Some("application/json"), None),
    ),
    (
        "dropbox-sign",
        (200, Some("text/plain"), "Hello API Event Received"),
        (200, Some("text/plain"), Some("Hello API Event Received")),
    ),
    (
        "twilio",
        (200, Some("text/xml"), "<Response/>"),
        (200, Some("text/xml"), Some("<Response/>")),
    ),
    (
        "slack-interactivity",
        (200, None, ""),
        (200, Some("application/json"), None),
    ),
    ("okta", (200, None, ""), (200, None, Some(""))),
    ("discord-events", (204, None, ""), (204, None, Some(""))),
];

/// The whole table: each pack with a handler that replies 202 and JSON, in mode async, without proof, with too large a body.
#[tokio::test]
async fn every_pack_answers_as_expected() {
    let packs = packs();
    let setup = with_keys(packs.iter().fold(Setup::new(), with_hooks));
    let setup = setup.file("replies.wasm", std::fs::read(guest("replies")).unwrap());
    let node = setup.start().await;
    node.until_ready().await;
    for pack in &packs {
        let name = &pack.name;
        let reply = post_reply(&node, name, "202", "application/json", JSON).await;
        pack.check_success("a reply of 202", &reply);
        let is_kept = pack.reply_body.is_empty() && reply.status != 204;
        let is_read = pack.reply_types.is_empty()
            || pack.reply_types.iter().any(|one| one == "application/json");
        if is_kept && is_read {
            assert_eq!(
                (reply.body.as_str(), reply.content_type.as_deref()),
                (JSON, Some("application/json")),
                "{name}"
            );
        } else {
            pack.check_accepted_content("a reply of 202", &reply);
        }
        let later = post(&node, &format!("{name}-later"), &[], JSON).await;
        pack.check_success("mode async", &later);
        pack.check_accepted_content("mode async", &later);
        let large = post(&node, &format!("{name}-now"), &[], vec![b'x'; TOO_LARGE]).await;
        pack.check_refusal("too large a body", &large);
        for (what, method) in [("a wrong method", "DELETE"), ("an unused method", "PATCH")] {
            let url = node.url(&format!("/{name}-now"));
            let response = node
                .client
                .request(method.parse().unwrap(), url)
                .send()
                .await
                .unwrap();
            pack.check_refusal(what, &answer(response).await);
        }
        let segment = if pack.token_in_path { "/wrong" } else { "" };
        let unproven = post(&node, &format!("{name}-proof{segment}"), &[], "{}").await;
        pack.check_refusal("no proof", &unproven);
        assert_ne!(unproven.status, 404, "{name}: the hook did not load");
    }
    for (name, later, reply) in NAMED {
        let answer = post(&node, &format!("{name}-later"), &[], JSON).await;
        assert_eq!(
            (answer.status, answer.content_type.as_deref()),
            (later.0, later.1),
            "{name}"
        );
        assert!(
            answer.body.starts_with(later.2) && answer.body.is_empty() == later.2.is_empty(),
            "{name}: {answer:?}"
        );
        let answer = post_reply(&node, name, "202", "application/json", JSON).await;
        let expected = (reply.0, reply.1, reply.2.unwrap_or(JSON));
        assert_eq!(
            (
                answer.status,
                answer.content_type.as_deref(),
                answer.body.as_str()
            ),
            expected,
            "{name}"
        );
    }
    let problems: Vec<_> = node
        .hooks()
        .await
        .into_iter()
        .filter(|hook| !hook["problem"].is_null())
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Packs of the operator, one for each thing that a pack can say.
const RULES: [(&str, &str); 6] = [
    ("only-200", "success = [200]"),
    ("no-content", "success = [204]"),
    (
        "fixed",
        "success = [200]\nreply_body = \"accepted\"\naccepted = { body = \"Hello\", headers = { content-type = \"text/plain\" } }",
    ),
    (
        "twiml",
        "accepted = { status = 200, body = \"\", headers = { content-type = \"text/xml\" } }\nreply_types = [\"text/xml\"]",
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
    let hook = "component = \"replies.wasm\"\nmode = \"sync\"\n[verify]\nprovider = \"strict\"\nscheme = \"none\"\n";
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
            "component = \"replies.wasm\"\nmode = \"async\"\n[verify]\nprovider = \"{pack}\"\nscheme = \"none\"\n[accepted]\n{accepted}\n"
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
