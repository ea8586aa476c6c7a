//! Delivery identity from end to end: for every pack, two different deliveries that are as alike as the provider makes them
//! both run, and a retry of the first runs only where the provider documents no identity.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use landfall_tests::{Node, Setup, bundled, event_id, eventually, guest, root};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What is sent to packs without an identity that tests/vectors/deliveries.json has no case for: the same twice.
const ALIKE: &str = r#"{"id":"1","type":"sample"}"#;

struct Case {
    pack: String,
    /// Cases of one pack have hooks of their own.
    hook: String,
    about: String,
    first: Value,
    second: Value,
    retry: Value,
    has_identity: bool,
}

fn packs() -> BTreeMap<String, toml::Table> {
    let dir = std::fs::read_dir(root().join("host/verify/src/packs")).unwrap();
    let paths = dir.map(|entry| entry.unwrap().path());
    paths.map(read_pack).collect()
}

fn read_pack(path: std::path::PathBuf) -> (String, toml::Table) {
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    (
        name,
        std::fs::read_to_string(&path).unwrap().parse().unwrap(),
    )
}

fn cases(packs: &BTreeMap<String, toml::Table>) -> Vec<Case> {
    let text = std::fs::read_to_string(root().join("tests/vectors/deliveries.json")).unwrap();
    let written: Vec<Value> = serde_json::from_str(&text).unwrap();
    let alike = json!({ "body": ALIKE });
    let mut cases = Vec::new();
    for (name, pack) in packs {
        // An identity inside a signed token is not read without the proof: the tests below sign theirs.
        if pack
            .get("delivery_id")
            .is_some_and(|identity| identity.to_string().contains("claim"))
        {
            continue;
        }
        let of_pack: Vec<&Value> = written
            .iter()
            .filter(|case| case["pack"] == **name)
            .collect();
        let usual = json!({ "about": "the same request twice", "first": alike, "second": alike });
        let of_pack = if of_pack.is_empty() {
            vec![&usual]
        } else {
            of_pack
        };
        for (number, case) in of_pack.into_iter().enumerate() {
            cases.push(Case {
                pack: name.clone(),
                hook: format!("{name}-{number}"),
                about: case["about"].as_str().unwrap().into(),
                first: case["first"].clone(),
                second: case["second"].clone(),
                retry: case.get("retry").unwrap_or(&case["first"]).clone(),
                has_identity: pack.contains_key("delivery_id"),
            });
        }
    }
    cases
}

/// Who called is proven elsewhere: providers with private keys are tried too.
fn hook_file(case: &Case, pack: &toml::Table) -> String {
    let described = pack
        .get("config")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten();
    let config: toml::Table = described
        .filter_map(|(name, key)| Some((name.clone(), key.get("example")?.clone())))
        .collect();
    let mut verify = toml::Table::from_iter([
        ("provider".to_owned(), case.pack.clone().into()),
        ("scheme".to_owned(), "none".into()),
        ("config".to_owned(), config.into()),
    ]);
    // A check that signs what any caller asks for needs the scheme that tells its answer from a delivery.
    if pack["verify"].to_string().contains("{hmac-") {
        verify.insert("challenge".to_owned(), toml::Value::Array(Vec::new()));
    }
    let file = toml::Table::from_iter([
        ("mode".to_owned(), "auto".into()),
        ("component".to_owned(), "any.wasm".into()),
        ("verify".to_owned(), verify.into()),
    ]);
    toml::to_string(&file).unwrap()
}

async fn send(node: &Node, case: &Case, sent: &Value) {
    let body = match &sent["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let mut headers = BTreeMap::from([("content-type", "application/json")]);
    for (name, value) in sent["headers"].as_object().into_iter().flatten() {
        headers.insert(name, value.as_str().unwrap());
    }
    let headers: Vec<(&str, &str)> = headers.into_iter().collect();
    let answer = node.post(&format!("/{}", case.hook), &headers, body).await;
    assert!(
        (200..300).contains(&answer.0),
        "{}, {}: {answer:?}",
        case.pack,
        case.about
    );
}

#[tokio::test]
async fn similar_deliveries_run_retries_do_not() {
    let packs = packs();
    let cases = cases(&packs);
    assert!(cases.len() >= 250, "only {} cases", cases.len());

    let mut setup = Setup::new().file("any.wasm", std::fs::read(guest("answers_one")).unwrap());
    for case in &cases {
        setup = setup.file(
            &format!("{}.toml", case.hook),
            hook_file(case, &packs[&case.pack]),
        );
    }
    let node = setup.start().await;
    let hooks = eventually("every hook is loaded or refused", || async {
        let hooks = node.hooks().await;
        (hooks.len() == cases.len() && hooks.iter().all(is_decided)).then_some(hooks)
    })
    .await;
    let refused: Vec<&Value> = hooks
        .iter()
        .filter(|hook| hook["state"] != "serving")
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");

    for case in &cases {
        send(&node, case, &case.first).await;
        send(&node, case, &case.second).await;
        send(&node, case, &case.retry).await;
    }

    for case in &cases {
        let expected = if case.has_identity { 2 } else { 3 };
        let found = node.until_states(&case.hook, &vec!["done"; expected]).await;
        assert_eq!(found.len(), expected, "{}, {}", case.pack, case.about);
    }
}

fn is_decided(hook: &Value) -> bool {
    hook["state"] == "serving" || !hook["problem"].is_null()
}

/// The first two are different deliveries and run; the first again is a retry and does not.
async fn assert_retry_is_known(node: &Node, path: &str, sent: [(Vec<(&str, String)>, String); 2]) {
    let send = async |(headers, body): &(Vec<(&str, String)>, String)| {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = node.post(path, &headers, body.clone()).await;
        assert!((200..300).contains(&answer.0), "{path}: {answer:?}");
        event_id(&answer)
    };
    let [first, second] = &sent;
    let id = send(first).await;
    assert_ne!(
        send(second).await,
        id,
        "{path}: the second delivery is lost"
    );
    assert_eq!(send(first).await, id, "{path}: the retry runs again");
    node.until_states(path.trim_start_matches('/'), &["done"; 2])
        .await;
}

#[tokio::test]
async fn identities_in_tokens_are_known() {
    const SECRET: &str = "an installation's shared secret";
    let text = std::fs::read_to_string(root().join("tests/fixtures/apple-app-store.json")).unwrap();
    let apple: Value = serde_json::from_str(&text).unwrap();
    let config = toml::Table::from_iter([
        ("bundle_id".to_owned(), "com.example.app".into()),
        ("environment".to_owned(), "Production".into()),
        ("app_apple_id".to_owned(), "1234".into()),
        (
            "root_certificates".to_owned(),
            apple["root"].as_str().unwrap().into(),
        ),
    ]);
    let apple_file = format!(
        "mode = \"async\"\n[verify]\nprovider = \"apple-app-store\"\n\n[verify.config]\n{config}"
    );
    let jira_file =
        "mode = \"async\"\n[verify]\nprovider = \"jira-connect\"\nsecret = \"env:JIRA_SECRET\"\n";
    let setup =
        Setup::new()
            .env("JIRA_SECRET", SECRET)
            .hook("apple", &bundled("echo"), &apple_file);
    let node = setup
        .hook("jira", &bundled("echo"), jira_file)
        .serving("apple")
        .await;
    node.until("jira", "serving").await;

    let notification = |at: usize| {
        (
            Vec::new(),
            json!({ "signedPayload": apple["accepted"][at]["token"] }).to_string(),
        )
    };
    assert_retry_is_known(&node, "/apple", [notification(0), notification(1)]).await;

    let exp = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 180;
    let qsh = hex::encode(Sha256::digest("POST&/jira&"));
    let delivery = |issuer: &str, identifier: &str| {
        let claims = json!({ "iss": issuer, "qsh": qsh, "iat": exp - 180, "exp": exp });
        let signed = format!(
            "{}.{}",
            jwt_part(json!({ "alg": "HS256", "typ": "JWT" })),
            jwt_part(claims)
        );
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        let token = format!(
            "JWT {signed}.{}",
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        );
        let body =
            json!({ "webhookEvent": "jira:issue_updated", "issue": { "id": "10002" } }).to_string();
        (
            vec![
                ("authorization", token),
                ("x-atlassian-webhook-identifier", identifier.to_owned()),
            ],
            body,
        )
    };
    // The same identifier in two installations, and two identifiers in one.
    assert_retry_is_known(&node, "/jira", [delivery("a", "1"), delivery("b", "1")]).await;
    let other = delivery("a", "2");
    let headers: Vec<(&str, &str)> = other
        .0
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(node.post("/jira", &headers, other.1.clone()).await.0, 202);
    node.until_states("jira", &["done"; 3]).await;
}

fn jwt_part(value: Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
