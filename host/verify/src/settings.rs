//! Checks the values that a hook gives its scheme: `[verify] config`, `challenge_secret` and the
//! form of the key. Missing, unknown and unusable values are load errors, because such a hook would
//! refuse every request.

use std::collections::BTreeSet;

use crate::builder::{BuildError, wrong};
use crate::pack::{ConfigKey, Pack};
use landfall_model::{
    Algorithm, ClaimValue, ConfigValue, KeyForm, PayloadPiece, Scheme, VerifySpec,
};

const PUBLIC_KEY_FORMS: [KeyForm; 2] = [KeyForm::Pem, KeyForm::SpkiBase64];
const ED25519_KEY_FORMS: [KeyForm; 6] = [
    KeyForm::Ed25519Hex,
    KeyForm::Whpk,
    KeyForm::Pem,
    KeyForm::SpkiBase64,
    KeyForm::Hex,
    KeyForm::Base64,
];

/// Checks the values of `typed`, the hook's own table. `spec` is that table merged with the pack's.
pub(crate) fn check(pack: &Pack, typed: &VerifySpec, spec: &VerifySpec) -> Result<(), BuildError> {
    check_unknown(pack, typed, spec)?;
    check_missing(pack, typed, spec)?;
    check_allowed_senders(pack, spec)?;
    check_challenge_secret(spec)?;

    check_key_form(spec)
}

/// Fills in every value that `check` requires and removes values without effect on the pack, for
/// requests that are signed or checked without a hook file. Lists of senders that may run ownership
/// checks get no real entry.
pub(crate) fn fill_in(pack: &Pack, typed: VerifySpec) -> VerifySpec {
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

/// The known names of `config`: those that the pack describes and those that the table reads.
pub(crate) fn known_names(pack: &Pack, spec: &VerifySpec) -> BTreeSet<String> {
    pack.config
        .keys()
        .cloned()
        .chain(names_read(spec))
        .chain(lists_of(spec).map(str::to_owned))
        .collect()
}

/// The names of `config` that verifying a delivery requires.
pub(crate) fn names_read(spec: &VerifySpec) -> BTreeSet<String> {
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

/// The names that only ownership checks read. They are optional.
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

/// A placeholder for a value of which the pack has no example.
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
    // A hook with its own payload may not need the values that the pack's payload needs.
    let is_as_packed = typed.scheme.is_none() && typed.payload.is_none() && typed.jwt.is_none();
    let described = required_names(pack).filter(|_| is_as_packed);
    let needed: BTreeSet<String> = names_read(spec).into_iter().chain(described).collect();

    match needed.iter().find(|name| !has_value(spec, name)) {
        Some(name) => Err(wrong("config", missing(pack, name))),
        None => Ok(()),
    }
}

/// If ownership checks are answered for listed senders only, at least one list is required. Without
/// a list no check is answered, and the provider never sends an event.
fn check_allowed_senders(pack: &Pack, spec: &VerifySpec) -> Result<(), BuildError> {
    let lists: Vec<&str> = lists_of(spec).collect();
    if lists.is_empty() || lists.iter().any(|name| has_value(spec, name)) {
        return Ok(());
    }

    let all: Vec<String> = lists.iter().map(|name| missing(pack, name)).collect();
    Err(wrong("config", all.join("; or ")))
}

/// A verify token in the URL must not be the key of deliveries: every ownership check would send
/// the key in the clear.
fn check_challenge_secret(spec: &VerifySpec) -> Result<(), BuildError> {
    let parameter = spec
        .challenge
        .iter()
        .flatten()
        .find_map(|rule| rule.require.query_secret.as_deref());

    // With scheme `token`, one secret may be both.
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

/// Rejects a public key for a MAC and a MAC key for a public-key scheme: no request would ever
/// match.
fn check_key_form(spec: &VerifySpec) -> Result<(), BuildError> {
    let (has_form, forms): (fn(&KeyForm) -> bool, &str) = match keys_of(spec) {
        KeyKind::Unknown => return Ok(()),
        KeyKind::Ed25519 => (
            |form| ED25519_KEY_FORMS.contains(form),
            "\"ed25519-hex\", \"whpk\", \"pem\", \"spki-base64\", \"hex\" or \"base64\"",
        ),
        KeyKind::Public => (
            |form| PUBLIC_KEY_FORMS.contains(form),
            "\"pem\" or \"spki-base64\"",
        ),
        KeyKind::Shared => (
            |form| {
                !PUBLIC_KEY_FORMS.contains(form)
                    && !matches!(form, KeyForm::Ed25519Hex | KeyForm::Whpk)
            },
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

/// The kind of secret that a scheme uses.
enum KeyKind {
    Shared,
    /// A public key of RSA or ECDSA.
    Public,
    Ed25519,
    /// The scheme has no secret, or checks its keys itself.
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

/// The error for a missing value: what the value is, and how to write it.
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

/// Every NAME of `{config.NAME}` in a text.
fn names_in(text: &str) -> impl Iterator<Item = String> {
    let named = text
        .split("{config.")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));

    named.map(|(name, _)| name.to_owned())
}

/// The names that a provider scheme reads.
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
#[path = "settings_tests.rs"]
mod tests;
