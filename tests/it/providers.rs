//! docs/providers: the pages are those of the packs, their hook files serve, and their test commands are answered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use landfall_tests::{Setup, bundle, bundled, landfall, root};
use serde_json::Value;

const REGENERATE: &str = "cargo run -p landfall -- providers --write docs/providers";

fn run(arguments: &[&str]) -> Output {
    Command::new(landfall()).args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn providers() -> Vec<Value> {
    serde_json::from_str(&printed(&["providers", "--json"])).unwrap()
}

fn text<'a>(provider: &'a Value, key: &str) -> &'a str {
    provider[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} of {}", provider["provider"]))
}

fn pages(dir: &Path) -> BTreeMap<String, String> {
    let paths = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .map(|path| (name_of(&path), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The fenced blocks of a page in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn pages_are_those_of_the_packs() {
    let fresh = tempfile::tempdir().unwrap();
    std::fs::write(fresh.path().join("gone.md"), "a provider that is gone").unwrap();
    printed(&["providers", "--write", fresh.path().to_str().unwrap()]);
    let (expected, found) = (pages(fresh.path()), pages(&root().join("docs/providers")));

    assert_eq!(names(&found), names(&expected), "run `{REGENERATE}`");
    for (name, page) in &expected {
        assert!(
            found[name] == *page,
            "docs/providers/{name} is not what its pack says: run `{REGENERATE}`"
        );
    }
    assert!(!expected.contains_key("gone.md"));
}

fn names(pages: &BTreeMap<String, String>) -> Vec<String> {
    pages.keys().cloned().collect::<Vec<_>>()
}

#[test]
fn one_provider_is_printed() {
    let page = printed(&["providers", "stripe", "--markdown"]);
    assert_eq!(
        page,
        std::fs::read_to_string(root().join("docs/providers/stripe.md")).unwrap()
    );
    let plain = printed(&["providers", "stripe"]);
    assert!(
        plain.contains("provider = \"stripe\"") && !plain.contains("```"),
        "{plain}"
    );
    let json: Value = serde_json::from_str(&printed(&["providers", "stripe", "--json"])).unwrap();
    assert_eq!(text(&json, "provider"), "stripe");
}

#[test]
fn other_names_lead_to_the_pack() {
    for provider in providers() {
        for alias in provider["aliases"].as_array().unwrap() {
            let found: Value =
                serde_json::from_str(&printed(&["providers", alias.as_str().unwrap(), "--json"]))
                    .unwrap();
            assert_eq!(found["provider"], provider["provider"], "{alias}");
        }
        if let Some(of) = provider["variant_of"].as_str() {
            let page =
                std::fs::read_to_string(root().join(format!("docs/providers/{of}.md"))).unwrap();
            assert!(
                page.contains(&format!("({}.md)", text(&provider, "provider"))),
                "{of}.md names its variants"
            );
        }
    }
}

#[test]
fn unknown_providers_are_told_the_nearest() {
    let output = run(&["providers", "strpe"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `stripe`?"));
}

/// Writes the hook file of every page and the secrets that it names; gives the environment.
fn write_hooks(dir: &Path, providers: &[Value]) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    for provider in providers {
        let name = text(provider, "provider");
        let page =
            std::fs::read_to_string(root().join(format!("docs/providers/{name}.md"))).unwrap();
        let hook = blocks(&page, "toml").remove(0);
        assert!(hook.starts_with(&format!("# {name}.toml\n")), "{name}");
        let secret = secret(provider, &page);
        for reference in hook
            .split('"')
            .filter(|text| text.starts_with("env:") || text.starts_with("file:"))
        {
            let (kind, place) = reference.split_once(':').unwrap();
            let value = if hook.contains(&format!("challenge_secret = \"{reference}\"")) {
                "a-token"
            } else {
                &*secret
            };
            match kind {
                "env" => drop(environment.insert(place.to_owned(), value.to_owned())),
                _ => std::fs::write(dir.join(place), value).unwrap(),
            }
        }
        std::fs::write(dir.join(format!("{name}.toml")), hook).unwrap();
    }
    environment
}

/// The secret of the page's test; where the provider has a private key, a public key out of the request vectors.
fn secret(provider: &Value, page: &str) -> String {
    let shown = blocks(page, "sh").concat().lines().find_map(quoted);
    shown
        .filter(|_| provider["test_command"].is_string())
        .unwrap_or_else(|| public_key(provider))
}

/// The first text in single quotes.
fn quoted(line: &str) -> Option<String> {
    line.split('\'').nth(1).map(str::to_owned)
}

fn public_key(provider: &Value) -> String {
    if text(provider, "provider") == "http-message-signatures-ed25519" {
        let key = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        return format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n");
    }
    let vectors = std::fs::read_to_string(root().join("tests/vectors/requests.json")).unwrap();
    let vectors: Value = serde_json::from_str(&vectors).unwrap();
    let vectors = vectors
        .as_array()
        .or(vectors["vectors"].as_array())
        .unwrap();
    let form = text(provider, "secret_form");
    let secret = |vector: &Value| {
        let secret = &vector["secrets"][0];
        (secret["encoding"] == form).then(|| secret["value"].as_str().unwrap().to_owned())
    };
    let own = vectors
        .iter()
        .filter(|vector| vector["scheme"] == provider["provider"])
        .find_map(secret);
    own.or_else(|| vectors.iter().find_map(secret))
        .unwrap_or_else(|| "long-enough-for-a-test".into())
}

fn check(dir: &Path, environment: &BTreeMap<String, String>) -> (bool, String) {
    let mut command = Command::new(landfall());
    command
        .arg("check")
        .arg("--plugins")
        .arg(dir)
        .arg("--bundled")
        .arg(bundle())
        .envs(environment);
    let output = command.output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn hook_files_of_the_pages_serve() {
    let (dir, providers) = (tempfile::tempdir().unwrap(), providers());
    let environment = write_hooks(dir.path(), &providers);
    let (is_well, said) = check(dir.path(), &environment);
    assert!(is_well, "{said}");
    assert!(
        said.contains(&format!("{0} of {0} hooks would serve", providers.len())),
        "{said}"
    );
}

/// What `check` calls serving accepts what the provider sends.
#[tokio::test]
async fn test_commands_on_pages_are_accepted() {
    let providers = providers();
    let setup = Setup::new().file("echo.wasm", std::fs::read(bundled("echo")).unwrap());
    let environment = write_hooks(&setup.plugins(), &providers);
    let setup = environment
        .iter()
        .fold(setup, |setup, (name, value)| setup.env(name, value));
    let node = setup.start().await;
    node.until_ready().await;

    let (mut sent, mut failures) = (0, Vec::new());
    for provider in providers
        .iter()
        .filter(|provider| provider["test_command"].is_string())
    {
        let name = text(provider, "provider");
        let page =
            std::fs::read_to_string(root().join(format!("docs/providers/{name}.md"))).unwrap();
        let command = text(provider, "test_command");
        assert!(
            blocks(&page, "sh").contains(&format!("{command}\n")),
            "{name}"
        );
        let command = command.replacen("landfall ", &format!("{} ", landfall().display()), 1);
        let command = command.replace("http://127.0.0.1:8080", &node.url(""));
        let folder: PathBuf = node.plugins().parent().unwrap().into();
        let output = Command::new("sh")
            .arg("-c")
            .arg(&command)
            .envs(&environment)
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let status: u64 = said
            .lines()
            .next()
            .and_then(|line| line.parse().ok())
            .unwrap_or_default();
        let statuses = provider["success"].as_array();
        let is_success =
            statuses.is_none_or(|all| all.iter().any(|one| one.as_u64() == Some(status)));
        if !is_success || !output.status.success() {
            failures.push(format!(
                "{name}: {command}\n{said}{}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        sent += 1;
    }
    for (name, command) in handshake_commands(&providers) {
        let command = command.replace("landfall send", &format!("{} send", landfall().display()));
        let command = command.replace("http://127.0.0.1:8080", &node.url(""));
        let output = Command::new("sh")
            .arg("-c")
            .arg(&command)
            .envs(&environment)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = said.lines().next().unwrap_or_default();
        if !["200", "HTTP/1.1 200 OK", "204", "HTTP/1.1 204 No Content"].contains(&status.trim()) {
            failures.push(format!(
                "{name}: {command}\n{said}{}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {sent} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(sent >= 75, "{sent} of {} providers", providers.len());
}

fn handshake_commands(providers: &[Value]) -> Vec<(&str, &str)> {
    let all = providers.iter().flat_map(|provider| {
        let commands = provider["handshake_commands"].as_array().unwrap().iter();
        commands.map(|command| (text(provider, "provider"), command.as_str().unwrap()))
    });
    let all: Vec<_> = all.collect();
    assert!(all.len() >= 15, "{all:?}");
    all
}

#[test]
fn hooks_that_refuse_everything_stay_unavailable() {
    let rsa = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let secret = "secret = \"env:SECRET\"";
    let message = format!(
        "scheme = \"http-message-signatures\"\n{secret}\npublic_url = \"https://a.example\"\n"
    );
    let hmac = "algorithm = \"hmac-sha256\"\nmessage_signature = { ";
    let signature = format!("scheme = \"signature\"\n{secret}\nfrom = {{ header = \"Sig\" }}\n");
    let jwt = format!("scheme = \"jwt\"\n{secret}\nfrom = {{ header = \"T\" }}\n");
    let hooks = [
        (
            "websub",
            format!("provider = \"websub\"\n{secret}"),
            "config.topics is missing",
        ),
        (
            "square",
            format!("provider = \"square\"\n{secret}"),
            "config.notification_url is missing",
        ),
        (
            "meta",
            format!("provider = \"meta\"\n{secret}"),
            "challenge_secret is missing",
        ),
        (
            "typo",
            format!("provider = \"github\"\n{secret}\nconfig = {{ x = \"1\" }}"),
            "has no config key `x`",
        ),
        (
            "mac",
            format!("provider = \"github\"\n{secret}\nkey = \"pem\""),
            "no secret fits this algorithm",
        ),
        (
            "basic",
            format!("provider = \"basic-auth\"\n{secret}"),
            "user:password",
        ),
        (
            "sendgrid",
            format!("provider = \"sendgrid\"\n{secret}"),
            "not a public key",
        ),
        (
            "docker-hub",
            format!("provider = \"docker-hub\"\n{secret}"),
            "write path = \"/docker-hub/{secret}\"",
        ),
        (
            "hubspot",
            format!("provider = \"hubspot\"\n{secret}"),
            "public_url is missing",
        ),
        (
            "message",
            format!("provider = \"http-message-signatures\"\n{secret}"),
            "public_url is missing",
        ),
        (
            "ed25519",
            format!("{message}algorithm = \"ed25519\""),
            "no secret fits this algorithm",
        ),
        (
            "status",
            format!("{message}{hmac}components = [\"@status\"] }}"),
            "`@status` is not part of a request",
        ),
        (
            "label",
            format!("{message}{hmac}label = \"Sig 1\" }}"),
            "label `Sig 1`",
        ),
        (
            "each",
            format!("{signature}id = {{ each = \"/a/*/b\" }}"),
            "id = { each = … } names many values",
        ),
        (
            "claim",
            format!("scheme = \"token\"\n{secret}\nfrom = {{ claim = \"/a\" }}"),
            "only after the token",
        ),
        (
            "age",
            format!("{jwt}jwt = {{ algorithms = [\"HS256\"], max_age = \"0s\" }}"),
            "below one second",
        ),
        (
            "open",
            format!("{signature}algorithm = \"sha256\""),
            "{secret} must be part of what is signed",
        ),
        (
            "empty",
            format!("provider = \"github\"\n{secret}"),
            "0 B is out of range",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, verify, _) in &hooks {
        let size = if *name == "empty" {
            "max_body = \"0B\"\n"
        } else {
            ""
        };
        let hook = format!("component = \"echo.wasm\"\n{size}[verify]\n{verify}\n");
        std::fs::write(dir.path().join(format!("{name}.toml")), hook).unwrap();
    }
    let environment = BTreeMap::from([("SECRET".to_owned(), rsa.to_owned())]);
    let (is_well, said) = check(dir.path(), &environment);
    assert!(
        !is_well && said.contains(&format!("0 of {} hooks would serve", hooks.len())),
        "{said}"
    );
    for (name, _, problem) in hooks {
        assert!(said.contains(problem), "{name}: `{problem}` in\n{said}");
    }
}

#[test]
fn sign_uses_the_public_url() {
    let send = |to: &str| {
        let mut command = Command::new(landfall());
        command
            .args(["sign", "twilio", "--to", to, "--secret", "env:SECRET"])
            .env("SECRET", "s");
        command.args(["--public-url", "https://hooks.example.com/a/twilio"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let signature = |curl: &str| {
        curl.split("x-twilio-signature: ")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap()
            .to_owned()
    };
    let (one, other) = (
        send("http://127.0.0.1:8080/twilio"),
        send("http://10.0.0.1/b"),
    );
    assert_eq!(signature(&one), signature(&other));
    assert!(
        one.starts_with("curl -sS 'http://127.0.0.1:8080/twilio'")
            && other.contains("'http://10.0.0.1/b'"),
        "{other}"
    );
}
