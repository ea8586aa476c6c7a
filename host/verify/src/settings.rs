//! The values that a hook gives its scheme: `[verify] config`, `challenge_secret` and the key's form. What is missing, unknown or
//! does not fit is found at load, since such a hook would refuse every request.

use std::collections::BTreeSet;

use crate::builder::{BuildError, wrong};
use crate::pack::{ConfigKey, Pack};
use landfall_model::{
    Algorithm, ClaimValue, ConfigValue, KeyForm, PayloadPiece, Scheme, VerifySpec,
};

/// Checks the values of `typed`, the hook's own table; `spec` is the same table over the pack's.
pub fn check(pack: &Pack, typed: &VerifySpec, spec: &VerifySpec) -> Result<(), BuildError> {
    check_unknown(pack, typed, spec)?;
    check_missing(pack, typed, spec)?;
    check_allowed_senders(pack, spec)?;
    check_challenge_secret(spec)?;

    check_key_form(spec)
}

/// The same table with a value for everything that `check` asks for, and without what means nothing to the pack: for requests that
/// are made or judged without a hook file. Lists of senders that ownership checks answer to stay without a real entry.
pub fn filled(pack: &Pack, typed: VerifySpec) -> VerifySpec {
    let mut typed = typed;
    let spec = pack.merge(&typed);
    let mut known = known_names(pack, &spec);
    known.extend(optional_names(&spec));
    typed.config.retain(|name, _| known.contains(name));

    let needed = names_read(&spec).into_iter().chain(required_names(pack));
    let lists: BTreeSet<&str> = lists_of(&spec).collect();
    for name in needed.chain(lists.iter().map(|name| (*name).to_owned())) {
        if !has_value(&spec, &name) {
            let example = pack.config.get(&name).and_then(|key| key.example.clone());
            let value = example
                .filter(|_| !lists.contains(name.as_str()))
                .unwrap_or_else(|| usable(&name).into());
            typed.config.insert(name, ConfigValue::One(value));
        }
    }

    if typed.challenge_secret.is_empty() {
        typed.challenge_secret = typed.secret.clone();
    }

    typed
}

/// The names of `config` that mean something: those that the pack describes and those that the table reads.
pub fn known_names(pack: &Pack, spec: &VerifySpec) -> BTreeSet<String> {
    pack.config
        .keys()
        .cloned()
        .chain(names_read(spec))
        .chain(lists_of(spec).map(str::to_owned))
        .collect()
}

/// The names of `config` without which a delivery cannot be verified.
pub fn names_read(spec: &VerifySpec) -> BTreeSet<String> {
    let pieces = spec
        .payload
        .iter()
        .chain(spec.payload_alternatives.iter().flatten())
        .flatten();

    let mut texts: Vec<&str> = pieces
        .flat_map(PayloadPiece::texts)
        .map(String::as_str)
        .collect();

    texts.extend(spec.key_set.iter().filter_map(|set| set.url.as_deref()));
    texts.extend(
        spec.require
            .iter()
            .flat_map(|headers| headers.values())
            .map(String::as_str),
    );

    if let Some(jwt) = &spec.jwt {
        texts.extend(jwt.jwks.as_deref());
        texts.extend(
            jwt.lookup
                .iter()
                .flat_map(|lookup| lookup.body.values().chain(&lookup.url))
                .map(String::as_str),
        );

        for claim in jwt.claims.values() {
            match claim {
                ClaimValue::Truth(_) => {}
                ClaimValue::One(one) => texts.push(one),
                ClaimValue::Any(any) => texts.extend(any.iter().map(String::as_str)),
            }
        }
    }

    let named = texts.into_iter().flat_map(names_in);
    named
        .chain(spec.scheme.and_then(name_in_code).map(str::to_owned))
        .collect()
}

/// The names that ownership checks read: they may be left out.
fn optional_names(spec: &VerifySpec) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rule in spec.challenge.iter().flatten() {
        let answer = &rule.answer;
        let in_json = answer
            .json
            .iter()
            .flat_map(|object| object.values())
            .filter_map(|value| value.as_str());

        let texts = answer
            .text
            .as_deref()
            .into_iter()
            .chain(answer.headers.values().map(String::as_str))
            .chain(in_json);

        for text in texts {
            names.extend(names_in(text));
            names.extend(text.contains("{rate}").then(|| "max_rate".to_owned()));
        }

        names.extend(rule.pair.as_ref().map(|_| "handshake_open".to_owned()));
    }

    names
}

/// A text that may stand where the pack shows none.
fn usable(name: &str) -> &'static str {
    match name {
        "topic_arns" => "*",
        _ if name.ends_with("url") || name == "jwks" => "https://example.com/unset",
        _ => "unset",
    }
}

fn required_names(pack: &Pack) -> impl Iterator<Item = String> {
    pack.config
        .iter()
        .filter(|(_, key)| key.required)
        .map(|(name, _)| name.clone())
}

fn check_unknown(pack: &Pack, typed: &VerifySpec, spec: &VerifySpec) -> Result<(), BuildError> {
    let mut known = known_names(pack, spec);
    known.extend(optional_names(spec));
    let Some(name) = typed.config.keys().find(|name| !known.contains(*name)) else {
        return Ok(());
    };

    let near = known
        .iter()
        .min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let near = near.filter(|known| strsim::damerau_levenshtein(known, name) <= 3);

    let whose = typed.provider.as_deref().map_or_else(
        || "this scheme".to_owned(),
        |name| format!("provider `{name}`"),
    );

    let way_out = match (near, known.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, true) => "it has none: remove it".to_owned(),
        (None, false) => format!("known are {}", Vec::from_iter(known).join(", ")),
    };

    Err(wrong(
        "config",
        format!(
            "{whose} has no config key `{}`: {way_out}",
            name.escape_debug()
        ),
    ))
}

fn check_missing(pack: &Pack, typed: &VerifySpec, spec: &VerifySpec) -> Result<(), BuildError> {
    // A hook that says itself what is signed may not need what the pack's own rule needs.
    let is_as_packed = typed.scheme.is_none() && typed.payload.is_none() && typed.jwt.is_none();
    let described = required_names(pack).filter(|_| is_as_packed);
    let needed: BTreeSet<String> = names_read(spec).into_iter().chain(described).collect();

    match needed.iter().find(|name| !has_value(spec, name)) {
        Some(name) => Err(wrong("config", missing(pack, name))),
        None => Ok(()),
    }
}

/// Where ownership checks are answered to listed senders only, at least one list is needed: with none of them no check is
/// answered, and the provider never sends an event.
fn check_allowed_senders(pack: &Pack, spec: &VerifySpec) -> Result<(), BuildError> {
    let lists: Vec<&str> = lists_of(spec).collect();
    if lists.is_empty() || lists.iter().any(|name| has_value(spec, name)) {
        return Ok(());
    }

    let all: Vec<String> = lists.iter().map(|name| missing(pack, name)).collect();
    Err(wrong("config", all.join("; or ")))
}

/// A verify token in the URL is not the key of deliveries: it would be sent in the clear by whoever asks.
fn check_challenge_secret(spec: &VerifySpec) -> Result<(), BuildError> {
    let parameter = spec
        .challenge
        .iter()
        .flatten()
        .find_map(|rule| rule.require.query_secret.as_deref());

    // A shared token may be the verify token too.
    let may_lack = matches!(spec.scheme, Some(Scheme::Token | Scheme::None));
    match parameter {
        Some(parameter) if spec.challenge_secret.is_empty() && !may_lack => Err(wrong(
            "scheme",
            format!(
                "challenge_secret is missing: the provider shows the token that you choose in its ownership check \
                 ({parameter}); write challenge_secret = \"env:NAME\""
            ),
        )),
        _ => Ok(()),
    }
}

/// A public key is none of a MAC, and the other way round: no request would ever match.
fn check_key_form(spec: &VerifySpec) -> Result<(), BuildError> {
    const PUBLIC: [KeyForm; 2] = [KeyForm::Pem, KeyForm::SpkiBase64];
    const ED25519: [KeyForm; 6] = [
        KeyForm::Ed25519Hex,
        KeyForm::Whpk,
        KeyForm::Pem,
        KeyForm::SpkiBase64,
        KeyForm::Hex,
        KeyForm::Base64,
    ];

    let (has_form, forms): (fn(&KeyForm) -> bool, &str) = match keys_of(spec) {
        KeyKind::Unknown => return Ok(()),
        KeyKind::Ed25519 => (
            |form| ED25519.contains(form),
            "\"ed25519-hex\", \"whpk\", \"pem\", \"spki-base64\", \"hex\" or \"base64\"",
        ),
        KeyKind::Public => (|form| PUBLIC.contains(form), "\"pem\" or \"spki-base64\""),
        KeyKind::Shared => (
            |form| !PUBLIC.contains(form) && !matches!(form, KeyForm::Ed25519Hex | KeyForm::Whpk),
            "\"utf8\", \"hex\", \"base64\", \"whsec\", \"whsec-or-text\" or \"sha1\"",
        ),
    };

    if has_form(&spec.key.unwrap_or_default()) {
        Ok(())
    } else {
        Err(wrong(
            "scheme",
            format!("no secret fits this algorithm as it is read: write key = {forms}"),
        ))
    }
}

/// What the secrets of a scheme are.
enum KeyKind {
    Shared,
    /// Of RSA or ECDSA.
    Public,
    Ed25519,
    /// The scheme has no secret, or says itself what does not fit.
    Unknown,
}

fn keys_of(spec: &VerifySpec) -> KeyKind {
    let Some(scheme) = spec.scheme else {
        return KeyKind::Unknown;
    };

    match (scheme, spec.algorithm) {
        (Scheme::Signature, _) if spec.key_set.is_some() => KeyKind::Unknown,
        (Scheme::Signature | Scheme::HttpMessageSignatures, Some(Algorithm::Ed25519)) => {
            KeyKind::Ed25519
        }
        (
            Scheme::Signature | Scheme::HttpMessageSignatures,
            Some(
                Algorithm::EcdsaP256Sha256 | Algorithm::RsaPkcs1v15Sha256 | Algorithm::RsaPssSha512,
            ),
        ) => KeyKind::Public,
        (Scheme::Keygen, _) => KeyKind::Ed25519,
        (Scheme::Jwt, _) => match spec
            .jwt
            .as_ref()
            .and_then(|rules| rules.algorithms.as_ref())
        {
            Some(names) if !names.is_empty() && names.iter().all(|name| name.starts_with("HS")) => {
                KeyKind::Shared
            }
            _ => KeyKind::Unknown,
        },
        (Scheme::Signature | Scheme::HttpMessageSignatures, _)
        | (Scheme::Token | Scheme::Basic | Scheme::Twilio | Scheme::Adyen | Scheme::Braintree, _)
        | (Scheme::Contentful | Scheme::DropboxSign | Scheme::Plivo, _) => KeyKind::Shared,
        (Scheme::None | Scheme::AwsSns | Scheme::Paypal | Scheme::AdobeIo, _)
        | (Scheme::AppleAppStore | Scheme::Ebay | Scheme::DetachedJws, _) => KeyKind::Unknown,
    }
}

/// The sentence for a name without a value: what it is, and how it is written.
fn missing(pack: &Pack, name: &str) -> String {
    let described = pack.config.get(name);
    let about =
        described.map(|ConfigKey { about, .. }| format!(" ({})", about.trim_end_matches('.')));
    let example = described
        .and_then(|key| key.example.as_deref())
        .unwrap_or("…");

    format!(
        "config.{name} is missing{}: write config = {{ {name} = {} }}",
        about.unwrap_or_default(),
        toml::Value::from(example)
    )
}

fn has_value(spec: &VerifySpec, name: &str) -> bool {
    let texts = spec
        .config
        .get(name)
        .map(ConfigValue::texts)
        .unwrap_or_default();

    texts.iter().any(|text| !text.trim().is_empty())
}

fn lists_of(spec: &VerifySpec) -> impl Iterator<Item = &str> {
    spec.challenge
        .iter()
        .flatten()
        .filter_map(|rule| rule.require.listed.as_ref())
        .map(|(_, name)| name.as_str())
}

/// Every NAME of `{config.NAME}`.
fn names_in(text: &str) -> impl Iterator<Item = String> {
    let named = text
        .split("{config.")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));

    named.map(|(name, _)| name.to_owned())
}

/// What a scheme in code reads.
fn name_in_code(scheme: Scheme) -> Option<&'static str> {
    match scheme {
        Scheme::AwsSns => Some("topic_arns"),
        Scheme::Paypal => Some("webhook_id"),
        Scheme::Braintree => Some("public_key"),
        Scheme::AdobeIo => Some("recipient_client_id"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Packs, pack_names};
    use crate::verifier::Verifier;
    use crate::{AuthScheme, Keys};
    use landfall_model::Secret;

    fn build(text: &str) -> Result<Verifier, String> {
        let typed: VerifySpec = toml::from_str(text).unwrap();
        Verifier::build(&typed, &Packs::default()).map_err(|error| error.message)
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
            let error =
                build(&format!("provider = \"{provider}\"\nsecret = \"env:S\"")).unwrap_err();
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

                let mut typed = filled(&pack, typed);
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
        let error = build(
            "provider = \"square\"\nsecret = \"env:S\"\nconfig = { notification_uri = \"x\" }",
        )
        .unwrap_err();

        assert_eq!(
            error,
            "provider `square` has no config key `notification_uri`: did you mean `notification_url`?"
        );

        let error =
            build("provider = \"github\"\nsecret = \"env:S\"\nconfig = { x = \"y\" }").unwrap_err();
        assert_eq!(
            error,
            "provider `github` has no config key `x`: it has none: remove it"
        );

        let error = build(
            "scheme = \"token\"\nfrom = { header = \"T\" }\nsecret = \"env:S\"\nconfig = { x = \"y\" }",
        );

        assert!(
            error
                .unwrap_err()
                .contains("this scheme has no config key `x`")
        );
    }

    #[test]
    fn verify_tokens_are_not_app_secrets() {
        let error = build("provider = \"meta\"\nsecret = \"env:S\"").unwrap_err();
        assert!(
            error.contains("challenge_secret = \"env:NAME\"") && error.contains("hub.verify_token"),
            "{error}"
        );

        assert!(
            build("provider = \"meta\"\nsecret = \"env:S\"\nchallenge_secret = \"env:T\"").is_ok()
        );
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
            let error = build(&text).unwrap_err();
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
}
