//! Secrets from where they live, against servers that speak as Google, Vault and AWS do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_tests::ports::listener;
use landfall_tests::{Node, Receiver, Setup, bundled, eventually, guest};
use serde_json::{Value, json};

/// Answers by method and path; remembers what came.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<BTreeMap<String, Value>>>,
    came: Arc<Mutex<Vec<(String, HeaderMap, String)>>>,
}

impl Server {
    async fn start() -> (Server, String) {
        let listener = listener();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server::default();
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (server, address)
    }

    fn says(&self, request: &str, answer: Value) {
        self.answers.lock().unwrap().insert(request.into(), answer);
    }

    fn is_down(&self) {
        self.answers.lock().unwrap().clear();
    }

    fn got(&self, request: &str) -> Vec<(HeaderMap, String)> {
        let came = self.came.lock().unwrap();
        came.iter()
            .filter(|(asked, ..)| asked == request)
            .map(|(_, headers, body)| (headers.clone(), body.clone()))
            .collect()
    }
}

async fn answer(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let request = format!("{method} {}", uri.path());
    let body = String::from_utf8_lossy(&body).into_owned();
    server
        .came
        .lock()
        .unwrap()
        .push((request.clone(), headers, body));
    match server.answers.lock().unwrap().get(&request) {
        Some(answer) => (StatusCode::OK, answer.to_string()),
        None => (
            StatusCode::NOT_FOUND,
            "nothing here, and canary-in-answer".into(),
        ),
    }
}

fn hook(secret: &str) -> String {
    format!(
        "[verify]\nscheme = \"token\"\nfrom = {{ header = \"Secret\" }}\nsecret = \"{secret}\"\n"
    )
}

async fn lets_in(node: &Node, token: &str) {
    eventually(&format!("{token} is let in\n{}", node.log()), || async {
        (node.post("/in", &[("secret", token)], "{}").await.0 == 200).then_some(())
    })
    .await;
}

const TOKEN: &str = "GET /computeMetadata/v1/instance/service-accounts/default/token";
const VERSION: &str = "GET /v1/projects/p/secrets/s/versions/latest:access";

fn google(address: &str) -> Setup {
    Setup::new()
        .env("GCE_METADATA_HOST", address)
        .env(
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER",
            &format!("http://{address}/"),
        )
        .env(
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS",
            &format!("http://{address}/"),
        )
        .env("LANDFALL_SECRETS_REFRESH", "1s")
        .env("LANDFALL_SECRETS_KEEP", "20s")
}

#[tokio::test]
async fn google_secrets_use_the_metadata_server() {
    let (server, address) = Server::start().await;
    server.says(TOKEN, json!({ "access_token": "at-1", "expires_in": 3600 }));
    server.says(
        VERSION,
        json!({ "payload": { "data": STANDARD.encode("one") } }),
    );
    let setup = google(&address).hook(
        "in",
        &guest("answers_one"),
        &hook("gcp-secret:projects/p/secrets/s"),
    );
    let node = setup.serving("in").await;
    lets_in(&node, "one").await;
    assert_eq!(server.got(TOKEN)[0].0["metadata-flavor"], "Google");
    assert_eq!(server.got(VERSION)[0].0["authorization"], "Bearer at-1");
    // The newest version counts soon.
    server.says(
        VERSION,
        json!({ "payload": { "data": STANDARD.encode("two") } }),
    );
    lets_in(&node, "two").await;
    assert_eq!(node.post("/in", &[("secret", "one")], "{}").await.0, 401);
    assert_eq!(server.got(TOKEN).len(), 1);
    // The source goes down: the last value stays in use, then the hook is closed and no caller is answered 401.
    server.is_down();
    let before = server.got(VERSION).len();
    eventually("the source is asked in vain", || async {
        (server.got(VERSION).len() > before + 1).then_some(())
    })
    .await;
    assert_eq!(node.post("/in", &[("secret", "two")], "{}").await.0, 200);
    eventually("the hook is closed", || async {
        (node.post("/in", &[("secret", "two")], "{}").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(node.post("/in", &[("secret", "x")], "{}").await.0, 503);
    server.says(
        VERSION,
        json!({ "payload": { "data": STANDARD.encode("three") } }),
    );
    lets_in(&node, "three").await;
    assert!(
        !node.log().contains("canary-in-answer") && !node.log().contains("at-1"),
        "{}",
        node.log()
    );
}

#[tokio::test]
async fn google_kms_decrypts_a_file() {
    let (server, address) = Server::start().await;
    let decrypt = "POST /v1/projects/p/locations/l/keyRings/r/cryptoKeys/k:decrypt";
    server.says(TOKEN, json!({ "access_token": "at-1", "expires_in": 3600 }));
    server.says(decrypt, json!({ "plaintext": STANDARD.encode("clear") }));
    let reference = "gcp-kms:projects/p/locations/l/keyRings/r/cryptoKeys/k@../cipher";
    let setup = google(&address).hook("in", &guest("answers_one"), &hook(reference));
    std::fs::write(setup.plugins().with_file_name("cipher"), b"\x00\xffbytes").unwrap();
    let node = setup.serving("in").await;
    lets_in(&node, "clear").await;
    let sent: Value = serde_json::from_str(&server.got(decrypt)[0].1).unwrap();
    assert_eq!(sent["ciphertext"], STANDARD.encode(b"\x00\xffbytes"));
}

#[tokio::test]
async fn vault_accepts_token_or_kubernetes_login() {
    let (server, address) = Server::start().await;
    let read = "GET /v1/secret/data/hooks/github";
    server.says(
        read,
        json!({ "data": { "data": { "token": "kept" }, "metadata": { "version": 2 } } }),
    );
    let vault = || {
        Setup::new()
            .env("VAULT_ADDR", &format!("http://{address}"))
            .env("VAULT_NAMESPACE", "team")
    };
    let with = |setup: Setup| {
        setup.hook(
            "in",
            &guest("answers_one"),
            &hook("vault:secret/hooks/github#token"),
        )
    };
    let node = with(vault().env("VAULT_TOKEN", "root-token"))
        .serving("in")
        .await;
    lets_in(&node, "kept").await;
    let (headers, _) = server.got(read).remove(0);
    assert_eq!(
        (&headers["x-vault-token"], &headers["x-vault-namespace"]),
        (&"root-token".parse().unwrap(), &"team".parse().unwrap())
    );
    let login = "POST /v1/auth/kubernetes/login";
    server.says(
        login,
        json!({ "auth": { "client_token": "k8s-token", "lease_duration": 600 } }),
    );
    let setup = with(vault().env("VAULT_ROLE", "landfall"));
    let jwt = setup.plugins().with_file_name("jwt");
    std::fs::write(&jwt, "the-jwt\n").unwrap();
    let node = setup
        .env("VAULT_K8S_TOKEN_PATH", jwt.to_str().unwrap())
        .serving("in")
        .await;
    lets_in(&node, "kept").await;
    let sent: Value = serde_json::from_str(&server.got(login)[0].1).unwrap();
    assert_eq!(sent, json!({ "jwt": "the-jwt", "role": "landfall" }));
    assert_eq!(
        server.got(read).last().unwrap().0["x-vault-token"],
        "k8s-token"
    );
}

#[tokio::test]
async fn aws_secrets_use_keys_or_instance() {
    let (server, address) = Server::start().await;
    server.says("POST /", json!({ "SecretString": "{\"token\":\"kept\"}" }));
    let url = format!("http://{address}");
    let aws = || {
        Setup::new()
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ENDPOINT_URL", &url)
    };
    let with = |setup: Setup| {
        setup.hook(
            "in",
            &guest("answers_one"),
            &hook("aws-secret:prod/github#token"),
        )
    };
    let node = with(
        aws()
            .env("AWS_ACCESS_KEY_ID", "AKID")
            .env("AWS_SECRET_ACCESS_KEY", "sk"),
    )
    .serving("in")
    .await;
    lets_in(&node, "kept").await;
    let (headers, body) = server.got("POST /").remove(0);
    let authorization = headers["authorization"].to_str().unwrap();
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"),
        "{authorization}"
    );
    assert!(
        authorization.contains(
            "/eu-west-1/secretsmanager/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target, "
        )
    );
    assert_eq!(body, "{\"SecretId\":\"prod/github\"}");
    assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
    server.says("PUT /latest/api/token", json!("imds"));
    server.says(
        "GET /latest/meta-data/iam/security-credentials/",
        json!("role"),
    );
    let role = json!({ "AccessKeyId": "ASIA", "SecretAccessKey": "sk", "Token": "session" });
    server.says(
        "GET /latest/meta-data/iam/security-credentials/\"role\"",
        role.clone(),
    );
    server.says(
        "GET /latest/meta-data/iam/security-credentials/%22role%22",
        role,
    );
    let node = with(aws().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url))
        .serving("in")
        .await;
    lets_in(&node, "kept").await;
    assert_eq!(
        server.got("POST /").last().unwrap().0["x-amz-security-token"],
        "session"
    );
}

#[tokio::test]
async fn unreachable_sources_close_the_hook() {
    for (reference, words) in [
        (
            "vault:secret/a#b",
            "environment variable VAULT_ADDR is not set",
        ),
        (
            "aws-secret:a",
            "environment variable AWS_DEFAULT_REGION is not set",
        ),
        (
            "gcp-secret:projects/p/secrets/s",
            "GOOGLE_APPLICATION_CREDENTIALS is not set and there is no metadata server",
        ),
    ] {
        let setup = Setup::new().env("GCE_METADATA_HOST", "127.0.0.1:9");
        let node = setup
            .hook("in", &guest("answers_one"), &hook(reference))
            .start()
            .await;
        let status = node.until("in", "closed").await;
        assert!(
            status["problem"].as_str().unwrap().contains(words),
            "{status}"
        );
        assert_eq!(node.post("/in", &[("secret", "x")], "{}").await.0, 503);
    }
}

#[tokio::test]
async fn refused_tokens_are_fetched_again() {
    let (tokens, address) = Server::start().await;
    let called = Receiver::start().await;
    tokens.says(
        "POST /token",
        json!({ "access_token": "token-one", "expires_in": 3600 }),
    );
    let to = called.url("/");
    let file = |credential: &str| {
        format!(
            "mode = \"sync\"\n[verify]\nscheme = \"none\"\n[settings]\ntargets = [\"{to}\"]\n[allow]\nhttp = [\"{to}\"]\n[[credentials]]\nfor = \"{to}\"\n{credential}\n"
        )
    };
    // Its secret may live elsewhere itself.
    let read = "GET /v1/secret/data/hooks/client";
    tokens.says(
        read,
        json!({ "data": { "data": { "secret": "canary-client" }, "metadata": { "version": 1 } } }),
    );
    let client = format!(
        "oauth2_client = {{ token_url = \"http://{address}/token\", client_id = \"c\", client_secret = \"vault:secret/hooks/client#secret\" }}"
    );
    let lacks = "header = \"X-Key\"\nvalue = \"${env:NOBODY_SET_IT}\"";
    let setup = Setup::new()
        .env("VAULT_ADDR", &format!("http://{address}"))
        .env("VAULT_TOKEN", "t")
        .hook("out", &bundled("forward"), &file(&client));
    let node = setup
        .hook("lacks", &bundled("forward"), &file(lacks))
        .serving("out")
        .await;
    let status = node.until("lacks", "serving").await;
    let problem = status["problem"].as_str().unwrap();
    assert!(
        problem.contains(&format!("calls to {to} are not made"))
            && problem.contains("NOBODY_SET_IT"),
        "{problem}"
    );
    assert_eq!(node.post("/lacks", &[], "{}").await.0, 503);
    let bearer = || {
        called
            .got()
            .last()
            .map(|got| got.headers["authorization"].clone())
    };
    assert_eq!(node.post("/out", &[], "{}").await.0, 202, "{}", node.log());
    assert_eq!(bearer().unwrap(), "Bearer token-one");
    // It is withdrawn before its end.
    called.answer(401);
    tokens.says(
        "POST /token",
        json!({ "access_token": "token-two", "expires_in": 3600 }),
    );
    eventually("another token is taken", || async {
        node.post("/out", &[], "{}").await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        bearer().filter(|value| value == "Bearer token-two")
    })
    .await;
}
