//! Official SDKs and Landfall judge each other: what the SDKs sign is verified here, and what `landfall send` signs is verified by
//! the SDKs. `LANDFALL_SDK` names the folder in which `.ci/run` has installed them: a Python environment `venv` and `node_modules`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use landfall_tests::{Receiver, landfall, root};
use serde_json::{Value, json};

/// The official SDKs that sign, by the pack that judges.
const SIGNED: [&str; 13] = [
    "adyen",
    "braintree",
    "contentful",
    "discord",
    "github",
    "hubspot",
    "sanity",
    "slack",
    "standard-webhooks",
    "stripe",
    "svix",
    "twilio",
    "workos",
];

/// The folder of the SDKs. A missing one is a failure: without it nothing here would be tested.
fn sdk() -> PathBuf {
    let folder = std::env::var_os("LANDFALL_SDK").map(PathBuf::from);
    let folder = folder.filter(|folder| {
        folder.join("venv/bin/python").exists() && folder.join("node_modules").is_dir()
    });
    folder.expect(
        "the official SDKs are not installed: set LANDFALL_SDK to a folder with a Python environment `venv` \
         (tests/sdk/requirements.txt) and with `node_modules` (tests/sdk/package.json), as .ci/run does; if it could not \
         install them, the package registry was not reached",
    )
}

fn node() -> &'static Path {
    let places = ["/usr/bin/node", "/usr/local/bin/node"]
        .into_iter()
        .map(Path::new);
    places
        .into_iter()
        .find(|path| path.exists())
        .expect("Node.js is installed (.ci/run)")
}

/// What a script of tests/sdk prints.
fn run(program: &Path, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root().join("tests/sdk"))
        .env("LANDFALL_SDK_NODE", sdk());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(input.as_bytes())
        .expect("the script reads its input");
    let output = child.wait_with_output().expect("the script ends");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("the script prints text")
}

/// Lets Landfall verify the vectors; gives their packs.
fn verified(name: &str, least: usize, vectors: &str) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vectors.json");
    std::fs::write(&file, vectors).unwrap();
    let output = Command::new(landfall())
        .arg("verify")
        .arg("--vectors")
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let passed: usize = said
        .lines()
        .last()
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        passed >= least,
        "only {passed} vectors from the {name} SDKs"
    );

    let vectors: Vec<Value> = serde_json::from_str(vectors).unwrap();
    vectors
        .iter()
        .map(|vector| vector["scheme"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_official_sdks_sign_is_accepted() {
    let python = run(&sdk().join("venv/bin/python"), &["-B", "sign.py"], "");
    let mut packs = verified("Python", 50, &python);
    packs.append(&mut verified("Node", 70, &run(node(), &["sign.mjs"], "")));
    assert_eq!(packs.iter().map(String::as_str).collect::<Vec<_>>(), SIGNED);
}

/// A provider, its secret, and the `config` values that it signs.
type Verified = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// What is signed for each pack, and the values that it needs.
const VERIFIED: [Verified; 11] = [
    ("gocardless", "a-secret", &[]),
    ("line", "a-secret", &[]),
    ("linear", "a-secret", &[]),
    ("openai", "whsec_c2VjcmV0IGtleSBvZiBhIHRlc3Q=", &[]),
    ("paddle", "pdl_ntfset_secret", &[]),
    ("pusher", "a-secret", &[("app_key", "the-key")]),
    ("razorpay", "a-secret", &[]),
    (
        "square",
        "a-secret",
        &[("notification_url", "https://hooks.example.com/square")],
    ),
    ("stripe", "whsec_secret", &[]),
    ("svix", "whsec_c2VjcmV0IGtleSBvZiBhIHRlc3Q=", &[]),
    ("twilio", "a-secret", &[]),
];

#[tokio::test]
async fn official_sdks_accept_what_we_sign() {
    let receiver = Receiver::start().await;
    let mut requests = Vec::new();
    for (provider, secret, config) in VERIFIED {
        let url = receiver.url(&format!("/{provider}"));
        let mut command = tokio::process::Command::new(landfall());
        command
            .args(["send", provider, "--to", &url, "--secret", "env:SDK_SECRET"])
            .env("SDK_SECRET", secret);
        command.args(
            config
                .iter()
                .flat_map(|(name, value)| ["--config".to_owned(), format!("{name}={value}")]),
        );
        let output = command.output().await.unwrap();
        assert!(
            output.status.success(),
            "{provider}: {}",
            String::from_utf8_lossy(&output.stderr)
        );

        let got = receiver.got().pop().unwrap();
        let headers = got
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        requests.push(json!({
            "provider": provider,
            "url": url,
            "headers": headers.collect::<BTreeMap<_, _>>(),
            "body": String::from_utf8(got.body).unwrap(),
            "secret": secret,
            "config": config.iter().copied().collect::<BTreeMap<_, _>>(),
        }));
    }

    let said = run(node(), &["verify.mjs"], &Value::from(requests).to_string());
    let expected: String = VERIFIED
        .iter()
        .map(|(provider, ..)| format!("{provider} ok\n"))
        .collect();
    assert_eq!(said, expected);
}
