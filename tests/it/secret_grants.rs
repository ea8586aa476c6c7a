//! Which secrets hook files may name: `secrets.allow` of the node, and never its own.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use landfall_tests::{Setup, eventually, guest, landfall};

fn token(secret: &str) -> String {
    format!(
        "[verify]\nscheme = \"token\"\nfrom = {{ header = \"Secret\" }}\nsecret = \"{secret}\"\n"
    )
}

/// A hook file that is fine but for one reference in `[[credentials]]` or elsewhere.
fn with(rest: &str) -> String {
    format!("{}\n{rest}", token("env:HOOK_TOKEN"))
}

fn credential(kind: &str) -> String {
    with(&format!(
        "[[credentials]]\nfor = \"https://api.example.com/\"\n{kind}\n"
    ))
}

#[tokio::test]
async fn every_kind_of_reference_is_checked() {
    let other = "env:OTHER";
    let refused = [
        ("token", token(other)),
        (
            "rotated",
            token("env:HOOK_TOKEN")
                .replace("\"env:HOOK_TOKEN\"", "[\"env:HOOK_TOKEN\", \"env:OTHER\"]"),
        ),
        (
            "challenge",
            token("env:HOOK_TOKEN") + "challenge_secret = \"env:OTHER\"\n",
        ),
        (
            "header",
            credential("header = \"Authorization\"\nvalue = \"Bearer ${env:OTHER}\""),
        ),
        (
            "query",
            credential("query = \"key\"\nvalue = \"${env:OTHER}\""),
        ),
        (
            "body",
            credential("placeholder = \"SECRET\"\nvalue = \"${env:OTHER}\""),
        ),
        (
            "webhooks",
            credential("standard_webhooks = { secret = \"env:OTHER\" }"),
        ),
        (
            "client",
            credential(
                "oauth2_client = { token_url = \"https://t.example.com/\", client_id = \"c\", client_secret = \"env:OTHER\" }",
            ),
        ),
        (
            "sigv4",
            credential(
                "aws_sigv4 = { region = \"r\", service = \"s\", access_key = \"env:HOOK_TOKEN\", secret_key = \"env:OTHER\" }",
            ),
        ),
        ("google", credential("google = { scope = \"s\" }")),
        (
            "key",
            credential("google = { scope = \"s\", key = \"/etc/key.json\" }"),
        ),
    ];
    let mut setup = Setup::new()
        .env("HOOK_TOKEN", "hook-token")
        .env("OTHER", "other-token")
        .env("LANDFALL_SECRETS_ALLOW", "env:HOOK_*, file:/run/secrets/")
        .hook("good", &guest("answers_one"), &token("env:HOOK_TOKEN"));
    for (name, hook_file) in &refused {
        setup = setup.hook(name, &guest("answers_one"), hook_file);
    }

    let node = setup.serving("good").await;
    for (name, _) in refused {
        let hook = eventually(name, || async {
            node.hook(name).await.filter(|hook| {
                hook["problem"]
                    .as_str()
                    .is_some_and(|why| !why.contains("loading"))
            })
        })
        .await;
        let problem = hook["problem"].as_str().unwrap();
        assert_eq!(hook["state"], "unavailable", "{name}: {problem}");
        assert!(problem.contains("secrets.allow"), "{name}: {problem}");
        assert!(
            problem.contains("env:OTHER")
                || problem.contains("google:s")
                || problem.contains("file:/etc/key.json")
        );
        let answer = node
            .post(&format!("/{name}"), &[("secret", "other-token")], "{}")
            .await;
        assert_eq!(answer.0, 503, "{name}");
    }
    assert_eq!(
        node.post("/good", &[("secret", "hook-token")], "{}")
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn secrets_of_the_node_are_refused() {
    let setup = Setup::new();
    let data = setup.data();
    // The tests' own client finds the token there.
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&data)
        .unwrap();
    std::fs::write(data.join("admin-token"), "the-admin-token").unwrap();
    std::os::unix::fs::symlink("../data/admin-token", setup.plugins().join("link")).unwrap();
    let hooks = [
        ("variable", "env:LANDFALL_MINE".to_owned()),
        ("vault", "env:VAULT_TOKEN".to_owned()),
        ("admin", "env:ADMIN".to_owned()),
        ("data", format!("file:{}/admin-token", data.display())),
        ("dots", "file:../plugins/../data/admin-token".to_owned()),
        ("linked", "file:link".to_owned()),
        ("environ", "file:/proc/self/environ".to_owned()),
    ];
    let mut setup = setup
        .env("LANDFALL_ADMIN_TOKEN", "env:ADMIN")
        .env("ADMIN", "the-admin-token")
        .env("VAULT_TOKEN", "t")
        .env("HOOK_TOKEN", "hook-token")
        .hook("good", &guest("answers_one"), &token("env:HOOK_TOKEN"));
    for (name, secret) in &hooks {
        setup = setup.hook(name, &guest("answers_one"), &token(secret));
    }

    let node = setup.serving("good").await;
    for (name, _) in hooks {
        let hook = eventually(name, || async {
            node.hook(name).await.filter(|hook| {
                hook["problem"]
                    .as_str()
                    .is_some_and(|why| !why.contains("loading"))
            })
        })
        .await;
        let problem = hook["problem"].as_str().unwrap();
        assert!(
            problem.contains("secrets.allow") && hook["state"] != "serving",
            "{name}: {problem}"
        );
        assert_eq!(
            node.post(&format!("/{name}"), &[("secret", "the-admin-token")], "{}")
                .await
                .0,
            503,
            "{name}"
        );
    }
}

#[tokio::test]
async fn exposed_files_are_warned_about() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("hook-token");
    fs::write(&secret, "hook-token").unwrap();
    set_mode(&secret, 0o600);
    let hook_file = token(&format!("file:{}", secret.display()));
    let node = Setup::new()
        .hook("good", &guest("answers_one"), &hook_file)
        .serving("good")
        .await;
    let check = || {
        let output = Command::new(landfall())
            .args(["check", "--plugins"])
            .arg(node.plugins())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!check().contains("warning:"));

    let hook_path = node.plugins().join("good.toml");
    set_mode(&secret, 0o644);
    set_mode(&hook_path, 0o666);
    let readable = format!(
        "{} is a secret and can be read by other users",
        secret.display()
    );
    let writable = format!("{} can be written by other users", hook_path.display());
    for warning in [&readable, &writable] {
        node.logged("the warning", |line| {
            let message = line["message"].as_str();
            message.is_some_and(|message| message.starts_with(warning))
        })
        .await;
    }
    let said = check();
    for warning in [&readable, &writable] {
        assert!(said.contains(&format!("warning: {warning}")), "{said}");
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}
