//! Proof of senders against the running node: requests as providers send them, ownership checks, keys by address, packs of
//! the operator, explanations, and secrets that appear nowhere.

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use landfall_tests::{Node, Setup, eventually, guest, landfall};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};

const WHSEC: &str = "whsec_c2VjcmV0IGtleSBvZiBzb21lIGxlbmd0aA==";

fn run(arguments: &[&str], secret: &str) -> Output {
    Command::new(landfall())
        .args(arguments)
        .env("SECRET", secret)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A hook for a provider, with the same values that `send` is given.
fn hook(provider: &str, more: &str) -> String {
    format!("[verify]\nprovider = \"{provider}\"\nsecret = \"env:SECRET\"\n{more}")
}

#[tokio::test]
async fn sent_samples_need_the_right_secret() {
    let providers = [
        ("github", "a secret"),
        ("gitlab", "a secret"),
        ("stripe", "whsec_text"),
        ("slack", "a secret"),
        ("shopify", "a secret"),
        ("svix", WHSEC),
        ("standard-webhooks", WHSEC),
        ("zoom", "a secret"),
        ("mailgun", "a secret"),
        ("twitch", "a secret"),
        ("adyen", "00ff7788"),
        ("dropbox-sign", "a secret"),
        ("contentful", "a secret"),
        ("netlify", "a secret"),
        ("microsoft-graph", "a secret"),
        ("alertmanager", "a secret"),
        ("jira-connect", "a secret"),
        ("http-message-signatures", "a secret"),
    ];
    for (provider, secret) in providers {
        let signs_url = provider == "http-message-signatures";
        let more = if signs_url {
            "public_url = \"https://hooks.example.com\"\n"
        } else {
            ""
        };
        let setup = Setup::new()
            .hook("in", &guest("answers_one"), &hook(provider, more))
            .env("SECRET", secret);
        let node = setup.serving("in").await;
        let to = node.url("/in");
        let mut send = vec!["send", provider, "--to", &to, "--secret", "env:SECRET"];
        if signs_url {
            send.extend(["--public-url", "https://hooks.example.com/in"]);
        }
        let right = run(&send, secret);
        // Dropbox Sign wants its own sentence in every answer.
        let reply = if provider == "dropbox-sign" {
            "Hello API Event Received"
        } else {
            "one"
        };
        let expected = format!("200\n{reply}\n");
        assert!(
            right.status.success() && said(&right) == expected,
            "{provider}: {}\n{}",
            said(&right),
            node.log()
        );
        let wrong = run(&send, &secret.replace(['a', '7', 't'], "b"));
        // `whsec_` keys lose a letter that they need: then `send` itself says so.
        let refused = said(&wrong).starts_with("401\n") || said(&wrong).contains("not a key");
        assert!(
            !wrong.status.success() && refused,
            "{provider}: {}",
            said(&wrong)
        );
    }
}

#[tokio::test]
async fn a_variable_loses_one_line_end() {
    let setup = Setup::new()
        .hook("in", &guest("answers_one"), &hook("github", ""))
        .env("SECRET", "a secret\n");
    let node = setup.serving("in").await;
    let sent = run(
        &[
            "send",
            "github",
            "--to",
            &node.url("/in"),
            "--secret",
            "env:SECRET",
        ],
        "a secret",
    );
    assert!(sent.status.success(), "{}\n{}", said(&sent), node.log());
}

#[tokio::test]
async fn url_signing_needs_the_public_url() {
    let verify = hook("twilio", "public_url = \"https://hooks.example.com\"\n");
    let setup = Setup::new()
        .hook("in", &guest("answers_one"), &verify)
        .env("SECRET", "token");
    let node = setup.serving("in").await;
    let signed = run(
        &[
            "sign",
            "twilio",
            "--to",
            "https://hooks.example.com/in?a=1",
            "--secret",
            "env:SECRET",
        ],
        "token",
    );
    let curl = said(&signed).replace("https://hooks.example.com", &node.url(""));
    let answer = Command::new("sh").arg("-c").arg(&curl).output().unwrap();
    assert_eq!(said(&answer), "one", "{curl}\n{}", node.log());
    let swapped = curl.replace("?a=1", "?a=2");
    let refused = Command::new("sh").arg("-c").arg(&swapped).output().unwrap();
    assert!(
        said(&refused).contains("unauthorized"),
        "{}",
        said(&refused)
    );
}

#[tokio::test]
async fn ed25519_signs_with_the_private_key() {
    let pem = |label: &str, der: &[u8]| {
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(der)
        )
    };
    let random = ring::rand::SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    // SubjectPublicKeyInfo (RFC 8410).
    let public = [
        &hex::decode("302a300506032b6570032100").unwrap()[..],
        pair.public_key().as_ref(),
    ]
    .concat();
    let name = "http-message-signatures-ed25519";
    let verify = hook(name, "public_url = \"https://hooks.example.com\"\n");
    let setup = Setup::new()
        .hook("in", &guest("answers_one"), &verify)
        .env("SECRET", &pem("PUBLIC KEY", &public));
    let node = setup.serving("in").await;
    let (to, public_url) = (node.url("/in?a=1"), "https://hooks.example.com/in?a=1");
    let send = |secret: &str| {
        run(
            &[
                "send",
                name,
                "--to",
                &to,
                "--public-url",
                public_url,
                "--secret",
                "env:SECRET",
            ],
            secret,
        )
    };
    let right = send(&pem("PRIVATE KEY", pkcs8.as_ref()));
    assert_eq!(said(&right), "200\none\n", "{}", node.log());
    let other = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let wrong = send(&pem("PRIVATE KEY", other.as_ref()));
    assert!(said(&wrong).starts_with("401\n"), "{}", said(&wrong));
    assert!(said(&send(&pem("PUBLIC KEY", &public))).contains("PRIVATE KEY"));
}

async fn ask(
    node: &Node,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let method = method.parse().unwrap();
    let request = headers.iter().fold(
        node.client.request(method, node.url(path)),
        |request, (name, value)| request.header(*name, *value),
    );
    let response = request.body(body.to_owned()).send().await.unwrap();
    let content_type = response
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned());
    let nosniff = response.headers().get("x-content-type-options").is_some();
    let content_type =
        content_type.map(|text| format!("{text}{}", if nosniff { " nosniff" } else { "" }));
    (
        response.status().as_u16(),
        content_type.unwrap_or_default(),
        response.text().await.unwrap(),
    )
}

#[tokio::test]
async fn only_genuine_ownership_checks_are_answered() {
    let node = Setup::new()
        .hook("dropbox", &guest("answers_one"), &hook("dropbox", ""))
        .hook("x", &guest("answers_one"), &hook("x-twitter", ""))
        .hook(
            "trello",
            &guest("answers_one"),
            &hook(
                "trello",
                "config = { callback_url = \"https://a.example\" }\n",
            ),
        )
        .hook(
            "events",
            &guest("answers_one"),
            &hook(
                "cloudevents",
                "config = { allowed_origins = [\"a.example\"] }\n",
            ),
        )
        .hook(
            "meta",
            &guest("answers_one"),
            &hook("meta", "challenge_secret = \"env:VERIFY\"\n"),
        )
        .hook("xero", &guest("answers_one"), &hook("xero", ""))
        .hook(
            "ebay",
            &guest("answers_one"),
            &hook(
                "ebay",
                "challenge_secret = \"env:VERIFY\"\npublic_url = \"https://hooks.example.com\"\n",
            ),
        )
        .env("SECRET", "s")
        .env("VERIFY", "v")
        .serving("xero")
        .await;
    node.until("meta", "serving").await;
    node.until("x", "serving").await;
    node.until("ebay", "serving").await;
    let text = "text/plain; charset=utf-8 nosniff".to_owned();
    assert_eq!(
        ask(&node, "GET", "/dropbox?challenge=%3Cb%3E", &[], "").await,
        (200, text.clone(), "<b>".into())
    );
    assert_eq!(ask(&node, "GET", "/dropbox", &[], "").await.0, 405);
    let crc = ask(&node, "GET", "/x?crc_token=abc", &[], "").await;
    assert!(
        crc.0 == 200 && crc.2.starts_with("{\"response_token\":\"sha256="),
        "{crc:?}"
    );
    let forged = ask(&node, "GET", "/x?crc_token=%7B%22tweet%22%3A1%7D", &[], "").await;
    assert_eq!((forged.0, forged.2.as_str()), (400, ""));
    assert_eq!(ask(&node, "HEAD", "/trello", &[], "").await.0, 200);
    // SHA-256 of the code, the verification token and the address of the endpoint.
    let digest = hex::encode(Sha256::digest("a-1vhttps://hooks.example.com/ebay"));
    let challenged = ask(&node, "GET", "/ebay?challenge_code=a-1", &[], "").await;
    assert_eq!(
        challenged.2,
        format!("{{\"challengeResponse\":\"{digest}\"}}")
    );
    assert_eq!(challenged.1, "application/json nosniff");
    assert_eq!(ask(&node, "GET", "/ebay", &[], "").await.0, 405);
    assert_eq!(ask(&node, "POST", "/ebay", &[], "{}").await.0, 401);
    let origin = |name: &'static str| {
        [
            ("WebHook-Request-Origin", name),
            ("WebHook-Request-Rate", "120"),
        ]
    };
    assert_eq!(
        ask(&node, "OPTIONS", "/events", &origin("a.example"), "")
            .await
            .0,
        200
    );
    assert_eq!(
        ask(&node, "OPTIONS", "/events", &origin("b.example"), "")
            .await
            .0,
        403
    );
    assert_eq!(ask(&node, "OPTIONS", "/events", &[], "").await.0, 204);
    let hub =
        |token: &str| format!("/meta?hub.mode=subscribe&hub.challenge=7&hub.verify_token={token}");
    assert_eq!(
        ask(&node, "GET", &hub("v"), &[], "").await,
        (200, text, "7".into())
    );
    // The secret of deliveries is not the one of the check.
    assert_eq!(ask(&node, "GET", &hub("s"), &[], "").await.0, 403);
    let sent = run(
        &[
            "send",
            "xero",
            "--to",
            &node.url("/xero"),
            "--secret",
            "env:SECRET",
        ],
        "s",
    );
    assert_eq!(said(&sent), "200\n\n", "no body for those who want none");
    assert_eq!(
        ask(
            &node,
            "POST",
            "/xero",
            &[("x-xero-signature", "AAAA")],
            "{}"
        )
        .await,
        (401, String::new(), String::new())
    );
}

#[tokio::test]
async fn pairing_stores_one_secret_while_open() {
    let verify =
        |open: &str| format!("[verify]\nprovider = \"asana\"\nsecret = \"file:../asana\"\n{open}");
    let opened = "config = { handshake_open = \"true\" }\n";
    let setup = Setup::new().hook("in", &guest("answers_one"), &verify(""));
    let node = setup.start().await;
    node.until("in", "closed").await;
    let handshake = [("X-Hook-Secret", "handed-over")];
    assert_eq!(ask(&node, "POST", "/in", &handshake, "{}").await.0, 503);
    std::fs::write(node.plugins().join("in.toml"), verify(opened)).unwrap();
    eventually("the pairing is open", || async {
        (ask(&node, "POST", "/in", &handshake, "{}").await.0 == 200).then_some(())
    })
    .await;
    let kept = node.plugins().with_file_name("asana");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "handed-over");
    // A second one does not replace it.
    assert_eq!(
        ask(&node, "POST", "/in", &[("X-Hook-Secret", "another")], "{}")
            .await
            .0,
        401
    );
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "handed-over");
    let sent = run(
        &[
            "send",
            "asana",
            "--to",
            &node.url("/in"),
            "--secret",
            "env:SECRET",
        ],
        "handed-over",
    );
    assert_eq!(said(&sent), "200\none\n", "{}", node.log());
    assert!(!node.log().contains("handed-over"), "{}", node.log());
}

/// A key server: counts fetches and answers with the present key set.
async fn key_server(keys: Arc<std::sync::Mutex<String>>) -> (String, Arc<AtomicUsize>) {
    let (count, listener) = (
        Arc::new(AtomicUsize::new(0)),
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let counted = count.clone();
    let answer = move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
        keys.lock().unwrap().clone()
    };
    tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/keys", get(answer)))
            .await
            .unwrap()
    });
    (url, count)
}

struct Signer {
    kid: String,
    pair: EcdsaKeyPair,
    random: ring::rand::SystemRandom,
}

impl Signer {
    fn new(kid: &str) -> Signer {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .unwrap();
        Signer {
            kid: kid.into(),
            pair,
            random,
        }
    }

    fn key_set(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&point[1..33]),
            URL_SAFE_NO_PAD.encode(&point[33..]),
        );
        serde_json::json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y}]}).to_string()
    }

    fn token(&self, audience: &str) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let header = serde_json::json!({"alg": "ES256", "kid": self.kid});
        let claims = serde_json::json!({"aud": audience, "exp": now + 300, "iat": now});
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
        format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test]
async fn rotated_keys_are_fetched_again() {
    let first = Signer::new("k1");
    let keys = Arc::new(std::sync::Mutex::new(first.key_set()));
    let (url, fetched) = key_server(keys.clone()).await;
    let verify = format!(
        "[verify]\nscheme = \"jwt\"\nfrom = {{ header = \"Authorization\" }}\nprefix = \"Bearer \"\n\
         [verify.jwt]\nalgorithms = [\"ES256\"]\njwks = \"{url}\"\nclaims = {{ aud = \"me\" }}\n"
    );
    let node = Setup::new()
        .hook("in", &guest("answers_one"), &verify)
        .serving("in")
        .await;
    let post = async |token: String| node.post("/in", &[("authorization", &token)], "{}").await.0;
    assert_eq!(post(first.token("me")).await, 200, "{}", node.log());
    for _ in 0..5 {
        assert_eq!(post(first.token("me")).await, 200);
        assert_eq!(post(first.token("you")).await, 401);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
    // Tokens that name unknown keys do not cause repeated fetches.
    let stranger = Signer::new("k9");
    for _ in 0..5 {
        assert_eq!(post(stranger.token("me")).await, 401);
    }
    assert!(
        fetched.load(Ordering::SeqCst) <= 2,
        "{}",
        fetched.load(Ordering::SeqCst)
    );
}

#[tokio::test]
async fn a_key_server_outage_closes_hooks() {
    let verify = "[verify]\nscheme = \"jwt\"\nfrom = { header = \"A\" }\n[verify.jwt]\nalgorithms = [\"ES256\"]\n\
                  jwks = \"http://127.0.0.1:9/keys\"\nclaims = { aud = \"me\" }\n";
    let node = Setup::new()
        .hook("in", &guest("answers_one"), verify)
        .serving("in")
        .await;
    let token = Signer::new("k1").token("me").replace("Bearer ", "");
    assert_eq!(node.post("/in", &[("a", &token)], "{}").await.0, 503);
}

#[tokio::test]
async fn operator_packs_reload_at_run_time() {
    let setup = Setup::new()
        .env("SECRET", "s")
        .env("LANDFALL_SCAN_INTERVAL", "200ms");
    std::fs::create_dir(setup.plugins().join("providers")).unwrap();
    let pack = |header: &str| {
        format!(
            "name = \"Acme\"\n[verify]\nscheme = \"signature\"\nalgorithm = \"hmac-sha384\"\nfrom = {{ header = \"{header}\" }}\nencoding = \"base64url\"\n"
        )
    };
    let file = |node: &Node| node.plugins().join("providers/acme.toml");
    std::fs::write(setup.plugins().join("providers/acme.toml"), pack("X-Acme")).unwrap();
    let node = setup
        .hook("in", &guest("answers_one"), &hook("acme", ""))
        .serving("in")
        .await;
    let providers = node
        .plugins()
        .join("providers")
        .to_str()
        .unwrap()
        .to_owned();
    let to = node.url("/in");
    let send = || {
        run(
            &[
                "send",
                "acme",
                "--to",
                &to,
                "--secret",
                "env:SECRET",
                "--providers",
                &providers,
            ],
            "s",
        )
    };
    assert_eq!(said(&send()), "200\none\n", "{}", node.log());
    // Other files beside it do not matter.
    assert!(
        Command::new("mkfifo")
            .arg(node.plugins().join("providers/pipe.toml"))
            .status()
            .unwrap()
            .success()
    );
    std::fs::write(
        node.plugins().join("providers/bare.toml"),
        "name = \"x\"\n[verify]\nprefix = \"a\"\n",
    )
    .unwrap();
    std::fs::write(node.plugins().join("bare.toml"), hook("bare", "")).unwrap();
    let bare = node.until("bare", "unavailable").await;
    assert!(
        bare["problem"]
            .as_str()
            .unwrap()
            .contains("the pack names no scheme"),
        "{bare}"
    );
    assert!(node.hook("providers/pipe.toml").await.is_some());
    assert_eq!(said(&send()), "200\none\n", "{}", node.log());
    std::fs::write(file(&node), "scheme = [").unwrap();
    let status = node.until("in", "stale").await;
    assert!(
        status["problem"]
            .as_str()
            .unwrap()
            .contains("providers/acme.toml"),
        "{status}"
    );
    std::fs::write(file(&node), pack("X-Acme-2")).unwrap();
    node.until("in", "serving").await;
    assert_eq!(said(&send()), "200\none\n", "{}", node.log());
}

#[tokio::test]
async fn explain_names_the_failed_rule() {
    let setup = Setup::new()
        .hook("in", &guest("answers_one"), &hook("github", ""))
        .env("SECRET", "c2VjcmV0");
    let node = setup
        .env("LANDFALL_ADMIN_TOKEN", "env:ADMIN")
        .env("ADMIN", "t0ken")
        .start()
        .await;
    let admin = format!("http://{}", node.admin);
    eventually("the hook serves", || async {
        (node.post("/in", &[], "{}").await.0 == 401).then_some(())
    })
    .await;
    // Signed with what the secret says in base64.
    let sent = run(
        &[
            "send",
            "github",
            "--to",
            &node.url("/in"),
            "--secret",
            "env:SECRET",
        ],
        "secret",
    );
    assert!(
        said(&sent).starts_with("401\n{\"error\":\"unauthorized\"}"),
        "{}",
        said(&sent)
    );
    let explained = run(
        &["explain", "in", "--admin", &admin, "--token", "env:SECRET"],
        "t0ken",
    );
    for words in [
        "signature_mismatch from 127.0.0.1",
        "hint: the signature matches if the secret is read as base64",
        "signature missing (header X-Hub-Signature-256)",
    ] {
        assert!(
            said(&explained).contains(words),
            "{words}: {}",
            said(&explained)
        );
    }
    let none = run(
        &[
            "explain",
            "_queue",
            "--admin",
            &admin,
            "--token",
            "env:SECRET",
        ],
        "t0ken",
    );
    assert_eq!(
        said(&none),
        "no request was refused since the node has started\n"
    );
    let refused = run(&["explain", "--admin", &admin], "");
    assert!(
        !refused.status.success() && said(&refused).contains("401"),
        "{}",
        said(&refused)
    );
}

#[tokio::test]
async fn secrets_appear_nowhere() {
    const CANARIES: [&str; 4] = [
        "canary-token-8f2c",
        "canary-basic-77aa",
        "canary-hmac-19d0",
        "canary-path-5e5e",
    ];
    let [token, basic, hmac, path] = CANARIES;
    let open = "allow = { table = [] }\n";
    let tables = [
        "scheme = \"token\"\nfrom = { header = \"Secret\" }\n",
        "scheme = \"basic\"\n",
        "provider = \"github\"\n",
    ];
    let mut setup = Setup::new();
    for (name, table, secret) in [
        ("token", tables[0], "TOKEN"),
        ("basic", tables[1], "BASIC"),
        ("hmac", tables[2], "HMAC"),
    ] {
        setup = setup.hook(
            name,
            &guest("inspect_event"),
            &format!("{open}[verify]\n{table}secret = \"env:{secret}\"\n"),
        );
    }
    let hub = "path = \"/dh/{secret}\"\n[verify]\nprovider = \"docker-hub\"\nsecret = \"env:PATH_SECRET\"\n";
    setup = setup
        .hook("path", &guest("inspect_event"), hub)
        .env("LANDFALL_LOG_LEVEL", "landfall=trace,handler=trace,info");
    setup = setup
        .env("TOKEN", token)
        .env("BASIC", &format!("user:{basic}"))
        .env("HMAC", hmac)
        .env("PATH_SECRET", path);
    let mut node = setup.serving("path").await;
    for name in ["token", "basic", "hmac"] {
        node.until(name, "serving").await;
    }
    let mut seen = String::new();
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("user:{basic}"));
    seen += &node.post("/token", &[("secret", token)], "{}").await.1;
    seen += &node
        .post("/token", &[("secret", &format!("{token}x"))], "{}")
        .await
        .1;
    seen += &node
        .post(
            "/basic",
            &[("authorization", &format!("Basic {pair}"))],
            "{}",
        )
        .await
        .1;
    seen += &node.post(&format!("/dh/{path}"), &[], "{}").await.1;
    seen += &said(&run(
        &[
            "send",
            "github",
            "--to",
            &node.url("/hmac"),
            "--secret",
            "env:SECRET",
        ],
        hmac,
    ));
    seen += &said(&run(
        &[
            "sign",
            "github",
            "--to",
            &node.url("/hmac"),
            "--secret",
            "env:SECRET",
        ],
        hmac,
    ));
    for page in ["/api/hooks", "/api/refusals", "/metrics"] {
        let response = node.admin_get(page).send().await.unwrap();
        seen += &response.text().await.unwrap();
    }
    let core = node
        .proc("limits")
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap()
        .to_owned();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert!(
        node.log().contains("\"verified_by\":\"token#1\""),
        "{}",
        node.log()
    );
    for counted in [
        "landfall_verified_total{hook=\"token\",key=\"token#1\"} 1",
        "landfall_refused_total{hook=\"token\",reason=\"token_mismatch\"} 1",
    ] {
        assert!(seen.contains(counted), "{counted}: {seen}");
    }
    node.terminate();
    node.ended().await;
    seen += &node.log();
    for entry in walk(&node.data()) {
        seen += &String::from_utf8_lossy(&std::fs::read(entry).unwrap());
    }
    assert!(
        seen.contains("\"path\":\"/dh/-\"") || seen.contains("/dh/-"),
        "the component saw the request: {seen}"
    );
    for canary in CANARIES.iter().copied().chain([pair.as_str()]) {
        assert!(!seen.contains(canary), "{canary} in {seen}");
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
