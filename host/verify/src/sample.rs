//! Builds a signed sample request as the provider would send it, for `landfall sign` and `landfall
//! send`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use thiserror::Error;

use crate::auth_scheme::AuthScheme;
use crate::builder::BuildError;
use crate::key::{self, KeyBytes};
use crate::pack::{Pack, PackError, Packs};
use crate::request::Unverified;
use crate::schemes;
use crate::settings;
use crate::sign::sign;
use crate::sign_error::SignError;
use crate::verifier::Verifier;
use landfall_model::{ConfigValue, KeyForm, Secret, VerifySpec};

/// The input for a signed sample request.
#[derive(Debug, Clone)]
pub struct SampleRequest {
    /// The name of the provider pack.
    pub provider: String,
    /// The event type; `None` means that of the pack's sample.
    pub event: Option<String>,
    /// The target URL.
    pub url: String,
    /// The URL that the provider signs, if it differs from the target.
    pub public_url: Option<String>,
    /// The shared secret in the provider's form.
    pub secret: Option<Secret>,
    /// The body; `None` means the pack's sample.
    pub body: Option<Vec<u8>>,
    /// The values of `[verify] config`.
    pub config: BTreeMap<String, String>,
}

/// A signed sample request.
#[derive(Debug, Clone)]
pub struct SignedSample {
    /// The method in upper case.
    pub method: String,
    /// The URL, with the query that signing may have added.
    pub url: String,
    /// Names and values of the headers.
    pub headers: Vec<(String, String)>,
    /// The signed body.
    pub body: Vec<u8>,
    /// Whether the secret itself is in the request, and not only what was made with it.
    pub carries_secret: bool,
}

/// Why a sample request cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SampleError {
    /// The provider pack cannot be used.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The values of the request do not make a valid `[verify]` table.
    #[error(transparent)]
    Verify(#[from] BuildError),
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Builds the request as if sent at `now`. The error says what to change.
pub fn sample(
    request: &SampleRequest,
    packs: &Packs,
    now: SystemTime,
) -> Result<SignedSample, SampleError> {
    let pack = packs.find(&request.provider)?;
    let target = parse_url(&request.url)?;
    let called = match request.public_url.as_deref() {
        Some(text) => whole_url(text, &target)?,
        None => target.clone(),
    };

    let verifier = verifier(request, &pack, &called, packs)?;
    let mut draft = pack.draft(request.event.as_deref(), &request.url, now)?;
    if let Some(body) = &request.body {
        draft.body = body.clone().into();
    }

    // A provider that signs the URL signs the public one.
    let signs_path = target.path() != called.path() && request.public_url.is_some();
    if signs_path {
        draft.path = called.path().into();
        draft.query = called.query().or(target.query()).map(str::to_owned);
    }

    let mut signed = sign_with(&verifier, draft, request.secret.as_ref(), now)?;
    if signs_path {
        signed.path = target.path().into();
    }

    let path_and_query = match &signed.query {
        Some(query) => format!("{}?{query}", signed.path),
        None => signed.path.clone(),
    };

    let headers = signed.headers.iter().map(|(name, value)| {
        let value = value
            .to_str()
            .map_err(|_| format!("header {name} is not text"))?;

        Ok((name.to_string(), value.to_owned()))
    });

    Ok(SignedSample {
        method: signed.method.to_string(),
        url: format!("{}{path_and_query}", target.origin().ascii_serialization()),
        headers: headers.collect::<Result<_, SignError>>()?,
        body: signed.body.to_vec(),
        carries_secret: matches!(
            verifier.auth_scheme,
            AuthScheme::Token { .. } | AuthScheme::Basic
        ),
    })
}

/// Signs `draft` with a secret in the provider's form, as if sent at `now`.
pub fn sign_with(
    verifier: &Verifier,
    draft: Unverified,
    secret: Option<&Secret>,
    now: SystemTime,
) -> Result<Unverified, SignError> {
    sign(verifier, draft, &key(secret, verifier)?, now)
}

/// The requests of the hook's ownership checks, signed where the check is. `draft` is an unsigned request of the provider.
/// Pairings are left out: they need an operator.
pub fn sample_challenges(
    verifier: &Verifier,
    draft: &Unverified,
    secret: &Secret,
    now: SystemTime,
) -> Result<Vec<Unverified>, SignError> {
    let token = String::from_utf8_lossy(secret.expose());
    let mut requests = Vec::new();
    for challenge in &verifier.challenges {
        let Some(request) = challenge.sample(draft, &token)? else {
            continue;
        };
        requests.push(if challenge.is_before_authentication() {
            request
        } else {
            sign_with(verifier, request, Some(secret), now)?
        });
    }
    Ok(requests)
}

fn key(secret: Option<&Secret>, verifier: &Verifier) -> Result<KeyBytes, SignError> {
    let Some(secret) = secret else {
        return if verifier.needs_secret() {
            Err(SignError::Secret(
                "a secret is missing: add --secret env:NAME or --secret file:PATH".into(),
            ))
        } else {
            Ok(KeyBytes::default())
        };
    };
    if let AuthScheme::Provider(scheme) = &verifier.auth_scheme
        && let Some(private_key) = schemes::private_key(scheme, secret)?
    {
        return Ok(private_key);
    }

    if matches!(
        verifier.key_form(),
        KeyForm::Pem | KeyForm::SpkiBase64 | KeyForm::Ed25519Hex | KeyForm::Whpk
    ) {
        return Err(SignError::ProviderKey);
    }

    let key = key::decode(verifier.key_form(), secret)
        .map_err(|why| SignError::Secret(format!("the secret {why}")))?;
    if key.is_empty() {
        return Err(SignError::Secret("the secret is empty".into()));
    }

    Ok(key)
}

/// The verifier of a hook at this public URL. Values that only ownership checks need may be
/// missing.
fn verifier(
    request: &SampleRequest,
    pack: &Pack,
    called: &url::Url,
    packs: &Packs,
) -> Result<Verifier, BuildError> {
    let config = request
        .config
        .iter()
        .map(|(name, value)| (name.clone(), ConfigValue::One(value.clone())));

    let mut typed = VerifySpec {
        provider: Some(request.provider.clone()),
        secret: vec!["env:SECRET".parse().expect("a secret reference")],
        public_url: Some(called.origin().ascii_serialization()),
        config: config.collect(),
        ..VerifySpec::default()
    };

    let read = settings::names_read(&pack.merge(&typed));
    let filled = settings::fill_in(pack, typed.clone());
    typed.challenge_secret = filled.challenge_secret;

    for (name, value) in filled.config {
        if !read.contains(&name) {
            typed.config.entry(name).or_insert(value);
        }
    }

    Verifier::build(&typed, packs).map_err(|mut error| {
        if error.key == "config" {
            error
                .message
                .push_str("; with this command, write --config NAME=VALUE");
        }
        error
    })
}

/// The URL that the provider calls. If `text` is only scheme and host, as in a hook's `public_url`,
/// path and query of the target are added.
fn whole_url(text: &str, target: &url::Url) -> Result<url::Url, SignError> {
    let mut url = parse_url(text)?;
    if url.path() == "/" && url.query().is_none() && !text.ends_with('/') {
        url.set_path(target.path());
        url.set_query(target.query());
    }

    Ok(url)
}

fn parse_url(text: &str) -> Result<url::Url, SignError> {
    url::Url::parse(text).map_err(|why| SignError::Request(format!("`{text}` is not a URL: {why}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::{Verdict, check};
    use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
    use crate::pack::pack_names;

    #[test]
    fn sample_challenges_are_answered() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
        let packs = Packs::default();
        let mut answered = Vec::new();
        for name in pack_names() {
            let pack = packs.find(name).unwrap();
            let spec = VerifySpec {
                provider: Some(name.into()),
                secret: vec!["env:S".parse().unwrap()],
                public_url: Some("https://hooks.example.com".into()),
                config: [("topic_arns".to_owned(), ConfigValue::One("*".into()))].into(),
                ..VerifySpec::default()
            };
            let mut spec = settings::fill_in(&pack, spec);
            for (key, value) in &mut spec.config {
                if key.contains("allowed") || key.contains("topics") {
                    *value = ConfigValue::One("*".into());
                }
            }
            let verifier = Verifier::build(&spec, &packs).unwrap();
            let secret = Secret::new("a secret");
            let draft = pack.draft(None, "https://hooks.example.com/in", now);
            // Providers that sign with a key of their own cannot be imitated.
            let Ok(requests) = sample_challenges(&verifier, &draft.unwrap(), &secret, now) else {
                continue;
            };
            let keys =
                Keys::new([(verifier.key_form(), Ok(secret.clone()))]).with_challenge([Ok(secret)]);
            for request in requests {
                let context = VerifyContext {
                    keys: &keys,
                    documents: &NoKeyDocuments,
                    now: Some(now),
                };
                match check(&verifier, request.clone(), &context, None) {
                    Ok(Verdict::Challenge(answer)) => {
                        assert_eq!(answer.refused, None, "{name}: {request:?}");
                        answered.push(name);
                    }
                    other => panic!("{name}: {other:?}\n{request:?}"),
                }
            }
        }
        assert!(answered.len() >= 20, "{answered:?}");
    }
}
