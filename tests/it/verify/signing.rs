//! Samples that `sign` and `send` make, and the secrets that they need.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_tests::{Setup, guest};
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::{WHSEC, hook, run, said};

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

fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}
