//! A GitHub App: the node makes tokens from its private key, in both forms of a PEM file.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use landfall_tests::require::missing;
use landfall_tests::{Setup, bundled, eventually};
use serde_json::Value;

use super::provider::Provider;
use super::{deliveries, until_searched, with_secrets};

fn openssl(dir: &Path, words: &[&str]) -> bool {
    let output = Command::new("openssl")
        .args(words)
        .current_dir(dir)
        .output();
    output.is_ok_and(|output| output.status.success())
}

/// What a token says, if the key has signed it.
fn claims(dir: &Path, token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("three parts: {token}");
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    std::fs::write(dir.join("signed"), format!("{header}.{claims}")).unwrap();
    std::fs::write(dir.join("signature"), decode(signature)).unwrap();
    let verify = "dgst -sha256 -verify public.pem -signature signature signed";
    let words: Vec<&str> = verify.split(' ').collect();
    assert!(openssl(dir, &words), "the signature of {token}");
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header["alg"], "RS256");
    serde_json::from_slice(&decode(claims)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_call_with_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let commands: [&[&str]; 3] = [
        &["genrsa", "-traditional", "-out", "key.pem", "2048"],
        &[
            "pkcs8",
            "-topk8",
            "-nocrypt",
            "-in",
            "key.pem",
            "-out",
            "pkcs8.pem",
        ],
        &["rsa", "-in", "key.pem", "-pubout", "-out", "public.pem"],
    ];
    if !commands.iter().all(|words| openssl(dir, words)) {
        return missing("openssl is not installed");
    }
    for (name, label) in [
        ("key.pem", "BEGIN RSA PRIVATE KEY"),
        ("pkcs8.pem", "BEGIN PRIVATE KEY"),
    ] {
        let key = std::fs::read_to_string(dir.join(name)).unwrap();
        assert!(key.contains(label), "{name}");
        let provider = Provider::start().await;
        provider.list(deliveries());
        let file = format!(
            "mode = \"async\"\n[verify]\nprovider = \"github\"\nsecret = \"env:HOOK_SECRET\"\n[dedup]\nmatch = \"id\"\n\
             [reconcile]\napp_id = 123456\nevery = \"1h\"\ncredential = \"file:app.pem\"\napi = \"{}\"\n",
            provider.url()
        );
        let setup = with_secrets(Setup::new().hook("in", &bundled("echo"), &file));
        let node = setup.file("app.pem", &key).serving("in").await;
        // Four deliveries failed for GitHub, and this node has received none of them.
        until_searched(&node).await;
        node.until_states("in", &["done"; 4]).await;

        let credentials = provider.credentials();
        assert_eq!(credentials.len(), 3 + 4, "pages and contents");
        for credential in &credentials {
            let token = credential.strip_prefix("Bearer ").unwrap();
            let claims = claims(dir, token);
            assert_eq!(claims["iss"], "123456");
            let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
            assert!((1..=600).contains(&lifetime), "{claims}");
        }
        let secret_line = key.lines().nth(1).unwrap();
        assert!(!node.log().contains(secret_line));
        assert!(!node.metrics().await.contains(secret_line));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_call_nobody() {
    let provider = Provider::start().await;
    let file = format!(
        "mode = \"async\"\n[verify]\nprovider = \"github\"\nsecret = \"env:HOOK_SECRET\"\n[dedup]\nmatch = \"id\"\n\
         [reconcile]\napp_id = 1\ncredential = \"env:API_TOKEN\"\napi = \"{}\"\n",
        provider.url()
    );
    let setup = Setup::new().hook("in", &bundled("echo"), &file);
    let node = with_secrets(setup).serving("in").await;
    eventually("the search has failed", || async {
        let answer = node.try_ask("/api/v1/hooks/in/reconcile").await?;
        let error = answer["report"]["error"].as_str()?.to_owned();
        assert!(
            error.contains("is not the private key of the app"),
            "{error}"
        );
        Some(())
    })
    .await;
    assert_eq!(provider.lists_read(), 0);
}
