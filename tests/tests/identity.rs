//! Delivery identity from end to end: for every pack, two different deliveries that are as alike as the provider makes them
//! both run, and a retry of the first runs only where the provider documents no identity.

use std::collections::BTreeMap;

use landfall_tests::{Node, Setup, eventually, guest, root};
use serde_json::{Value, json};

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
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(&path).unwrap().parse().unwrap())
    };
    paths.map(read).collect()
}

fn cases(packs: &BTreeMap<String, toml::Table>) -> Vec<Case> {
    let text = std::fs::read_to_string(root().join("tests/vectors/deliveries.json")).unwrap();
    let written: Vec<Value> = serde_json::from_str(&text).unwrap();
    let alike = json!({ "body": ALIKE });
    let mut cases = Vec::new();
    for (name, pack) in packs {
        // An identity inside a signed token is not read without the proof: the tests of those schemes cover it.
        if pack.get("delivery_id").is_some_and(|identity| identity.to_string().contains("claim")) {
            continue;
        }
        let of_pack: Vec<&Value> = written.iter().filter(|case| case["pack"] == **name).collect();
        let usual = json!({ "about": "the same request twice", "first": alike, "second": alike });
        let of_pack = if of_pack.is_empty() { vec![&usual] } else { of_pack };
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
    let described = pack.get("config").and_then(toml::Value::as_table).into_iter().flatten();
    let config: toml::Table =
        described.filter_map(|(name, key)| Some((name.clone(), key.get("example")?.clone()))).collect();
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
    assert!((200..300).contains(&answer.0), "{}, {}: {answer:?}", case.pack, case.about);
}

#[tokio::test]
async fn alike_deliveries_run_and_retries_do_not() {
    let packs = packs();
    let cases = cases(&packs);
    assert!(cases.len() >= 250, "only {} cases", cases.len());

    let mut setup = Setup::new().file("any.wasm", std::fs::read(guest("answers_one")).unwrap());
    for case in &cases {
        setup = setup.file(&format!("{}.toml", case.hook), hook_file(case, &packs[&case.pack]));
    }
    let node = setup.start().await;
    let hooks = eventually("every hook is loaded or refused", || async {
        let hooks = node.hooks().await;
        let is_decided = |hook: &Value| hook["state"] == "serving" || !hook["problem"].is_null();
        (hooks.len() == cases.len() && hooks.iter().all(is_decided)).then_some(hooks)
    })
    .await;
    let refused: Vec<&Value> = hooks.iter().filter(|hook| hook["state"] != "serving").collect();
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
