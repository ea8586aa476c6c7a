//! Tests of `settings`.

use super::*;
use crate::pack::{Packs, pack_names};
use crate::verifier::Verifier;
use crate::{AuthScheme, Keys};
use landfall_model::Secret;

fn build(text: &str) -> Result<Verifier, BuildError> {
    let typed: VerifySpec = toml::from_str(text).unwrap();
    Verifier::build(&typed, &Packs::default())
}

fn load_error(text: &str) -> String {
    build(text).unwrap_err().message
}

#[test]
fn missing_values_are_named_at_load() {
    for (provider, name) in [
        ("square", "notification_url"),
        ("websub", "topics"),
        ("cloudevents", "allowed_origins"),
        ("azure-event-grid", "allowed_subscriptions"),
        ("paypal", "webhook_id"),
        ("aws-sns", "topic_arns"),
    ] {
        let error = load_error(&format!("provider = \"{provider}\"\nsecret = \"env:S\""));
        assert!(
            error.contains(&format!("config.{name} is missing")),
            "{provider}: {error}"
        );
        assert!(
            error.contains(&format!("write config = {{ {name} = \"")),
            "{provider}: {error}"
        );
    }
}

#[test]
fn each_required_value_is_needed() {
    for name in pack_names() {
        let pack = Packs::default().find(name).unwrap();
        for key in required_names(&pack) {
            let typed = VerifySpec {
                provider: Some(name.into()),
                secret: vec!["env:S".parse().unwrap()],
                public_url: Some("https://hooks.example.com".into()),
                ..VerifySpec::default()
            };

            let mut typed = fill_in(&pack, typed);
            typed
                .config
                .insert(key.clone(), ConfigValue::One(" ".into()));
            let error = Verifier::build(&typed, &Packs::default()).unwrap_err();

            assert!(error.message.contains(&key), "{name}: {}", error.message);
        }
    }
}

#[test]
fn values_that_packs_read_are_described() {
    for name in pack_names().filter(|name| *name != "generic") {
        let pack = Packs::default().find(name).unwrap();
        let spec = pack.merge(&VerifySpec::default());
        for read in known_names(&pack, &spec)
            .into_iter()
            .chain(optional_names(&spec))
        {
            assert!(
                pack.config.contains_key(&read),
                "{name}.toml reads config.{read} and has no [config.{read}]"
            );
        }
    }
}

#[test]
fn unknown_values_are_rejected() {
    let error = load_error(
        "provider = \"square\"\nsecret = \"env:S\"\nconfig = { notification_uri = \"x\" }",
    );

    assert_eq!(
        error,
        "provider `square` has no config key `notification_uri`: did you mean `notification_url`?"
    );

    let error = load_error("provider = \"github\"\nsecret = \"env:S\"\nconfig = { x = \"y\" }");
    assert_eq!(
        error,
        "provider `github` has no config key `x`: it has none: remove it"
    );

    let error = load_error(
        "scheme = \"token\"\nfrom = { header = \"T\" }\nsecret = \"env:S\"\nconfig = { x = \"y\" }",
    );

    assert!(error.contains("this scheme has no config key `x`"));
}

#[test]
fn verify_tokens_are_not_app_secrets() {
    let error = load_error("provider = \"meta\"\nsecret = \"env:S\"");
    assert!(
        error.contains("challenge_secret = \"env:NAME\"") && error.contains("hub.verify_token"),
        "{error}"
    );

    assert!(build("provider = \"meta\"\nsecret = \"env:S\"\nchallenge_secret = \"env:T\"").is_ok());
}

#[test]
fn keys_must_fit_their_algorithm() {
    for (provider, key) in [
        ("github", "pem"),
        ("github", "ed25519-hex"),
        ("discord", "utf8"),
        ("wise", "whsec"),
        ("sendgrid", "hex"),
    ] {
        let text = format!("provider = \"{provider}\"\nsecret = \"env:S\"\nkey = \"{key}\"");
        let error = load_error(&text);
        assert!(
            error.starts_with("no secret fits this algorithm"),
            "{provider}: {error}"
        );
    }
}

#[test]
fn secrets_that_never_match_are_problems() {
    const ED25519_KEY: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    for (text, secret, problem) in [
        (
            "provider = \"basic-auth\"",
            "no colon",
            Some("user:password"),
        ),
        ("provider = \"basic-auth\"", ":", Some("user:password")),
        ("provider = \"basic-auth\"", "user:", Some("user:password")),
        ("provider = \"basic-auth\"", ":password", None),
        (
            "scheme = \"token\"\nfrom = { header = \"T\" }",
            "to\nken",
            Some("line end"),
        ),
        ("provider = \"basic-auth\"", "user:password", None),
        (
            "scheme = \"token\"\nfrom = { header = \"T\" }",
            "token ",
            Some("white space"),
        ),
        (
            "scheme = \"token\"\nfrom = { header = \"T\" }",
            "token",
            None,
        ),
        (
            "provider = \"sendgrid\"",
            ED25519_KEY,
            Some("not a public key of the algorithm"),
        ),
        (
            "provider = \"discord\"",
            "d75a",
            Some("has 2 bytes instead of 32"),
        ),
    ] {
        let verifier = build(&format!("secret = \"env:S\"\n{text}")).unwrap();
        assert_ne!(*verifier.auth_scheme(), AuthScheme::Closed);
        let keys = Keys::new([(verifier.key_form(), Ok(Secret::new(secret)))]);
        let found = verifier.key_problem(&keys);
        match problem {
            None => assert_eq!(found, None, "{text}"),
            Some(words) => assert!(
                found.as_ref().is_some_and(|found| found.contains(words)),
                "{text}: {found:?}"
            ),
        }
    }
}
