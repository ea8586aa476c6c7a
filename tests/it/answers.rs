//! The answer that each provider expects, for every pack: from the host and from handlers, to good
//! requests and to bad ones.

mod packs;
mod rules;

use std::collections::BTreeMap;

use landfall_tests::{Node, Setup, root};
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
const ED25519: &str = "-----BEGIN PUBLIC KEY-----\n\
     MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

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
    files
        .map(|path| expected(&stem(&path), &std::fs::read_to_string(&path).unwrap()))
        .collect()
}

fn stem(path: &std::path::Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// One key in each form that a pack may want: text, hexadecimal digits and base64 in one, an
/// Ed25519 key, an RSA key.
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

/// Three hooks a provider: one that answers with the handler's reply, one that answers first, one
/// that asks for proof.
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
