//! Builds a signed sample request as the provider would send it, for `landfall sign` and `landfall
//! send`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

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
    /// The hook's `[verify]` table. A hook without a provider has a scheme of its own.
    pub verify: VerifySpec,
    /// The methods that the hook accepts. A sample that has another one gets the first. Empty: all.
    pub methods: Vec<Method>,
    /// The event type; `None` means that of the pack's sample.
    pub event: Option<String>,
    /// The target URL.
    pub url: String,
    /// The URL that the provider signs, if it differs from the target. It replaces those of the
    /// table.
    pub public_url: Option<String>,
    /// The shared secret in the provider's form.
    pub secret: Option<Secret>,
    /// The body; `None` means the pack's sample.
    pub body: Option<Vec<u8>>,
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

// === impl SampleRequest ===

impl SampleRequest {
    /// The sample of a provider, with these values of `[verify] config`.
    pub fn of_provider(
        provider: &str,
        config: BTreeMap<String, String>,
        url: String,
    ) -> SampleRequest {
        let config = config
            .into_iter()
            .map(|(name, value)| (name, ConfigValue::One(value)));
        SampleRequest {
            verify: VerifySpec {
                provider: Some(provider.to_owned()),
                config: config.collect(),
                ..VerifySpec::default()
            },
            methods: Vec::new(),
            event: None,
            url,
            public_url: None,
            secret: None,
            body: None,
        }
    }
}

/// Builds the request as if sent at `now`. The error says what to change.
pub fn sample(
    request: &SampleRequest,
    packs: &Packs,
    now: SystemTime,
) -> Result<SignedSample, SampleError> {
    let pack = match &request.verify.provider {
        Some(provider) => packs.find(provider)?,
        None => Packs::generic(),
    };
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
    if let Some(method) = request.methods.first()
        && !request.methods.contains(&draft.method)
    {
        draft.method = method.clone();
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
    if request.verify.provider.is_none() {
        signed.path = with_params(&signed);
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

/// The requests of the hook's ownership checks, signed where the check is. `draft` is an unsigned
/// request of the provider. Pairings are left out, because they need an operator, and so are
/// checks that only the provider can sign, and checks of senders that the hook does not list.
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
        if challenge.is_before_authentication() {
            requests.push(request);
            continue;
        }
        match sign_with(verifier, request, Some(secret), now) {
            Ok(request) => requests.push(request),
            Err(SignError::ProviderKey) => {}
            Err(error) => return Err(error),
        }
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
    let mut typed = VerifySpec {
        public_url: Some(called.origin().ascii_serialization()),
        url: None,
        ..request.verify.clone()
    };
    if typed.provider.is_some() && typed.secret.is_empty() {
        typed.secret = vec!["env:SECRET".parse().expect("a secret reference")];
    }

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

/// The path with the values that signing has put into segments: `/in/{token}` comes as `/in/token`.
fn with_params(request: &Unverified) -> String {
    let segments = request.path.split('/').map(|segment| {
        let param = request.params.iter().find(|(name, _)| name == segment);
        match param {
            Some((_, value)) => utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
            None => segment.to_owned(),
        }
    });
    segments.collect::<Vec<_>>().join("/")
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

    /// The request of a sample, as the node receives it. `params` are the hook's.
    fn received(signed: SignedSample, params: &[(&str, &str)]) -> Unverified {
        let url = url::Url::parse(&signed.url).unwrap();
        let headers = signed
            .headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Unverified {
            method: signed.method.parse().unwrap(),
            path: url.path().into(),
            query: url.query().map(str::to_owned),
            params: params
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            headers: headers.collect(),
            body: signed.body.into(),
            decoded: None,
        }
    }

    #[test]
    fn schemes_without_provider_are_signed() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
        let packs = Packs::default();
        for (table, path) in [
            ("scheme = \"none\"", "/in"),
            ("scheme = \"token\"\nfrom = { header = \"X-Token\" }", "/in"),
            (
                "scheme = \"token\"\nprefix = \"Bearer \"\nfrom = { header = \"Authorization\" }",
                "/in",
            ),
            ("scheme = \"token\"\nfrom = { query = \"key\" }", "/in"),
            (
                "scheme = \"token\"\nfrom = { param = \"token\" }",
                "/in/token",
            ),
            ("scheme = \"basic\"", "/in"),
            ("scheme = \"signature\"", "/in"),
            (
                "scheme = \"signature\"\nfrom = { header = \"X-Sig\" }\npayload = [\"{timestamp}\", \".\", \"{body}\"]\n\
                 timestamp = { from = { header = \"X-Time\" }, unit = \"s\", past = \"5m\" }",
                "/in",
            ),
            (
                "scheme = \"jwt\"\nfrom = { header = \"Authorization\" }\nprefix = \"Bearer \"\n\
                 jwt = { algorithms = [\"HS256\"], claims = { iss = \"me\" } }",
                "/in",
            ),
        ] {
            let mut verify: VerifySpec = toml::from_str(table).unwrap();
            if table != "scheme = \"none\"" {
                verify.secret = vec!["env:S".parse().unwrap()];
            }
            let secret = Secret::new("user:secret");
            let request = SampleRequest {
                verify: verify.clone(),
                methods: vec![Method::PUT],
                event: None,
                url: format!("http://127.0.0.1:8080{path}"),
                public_url: None,
                secret: Some(secret.clone()).filter(|_| !verify.secret.is_empty()),
                body: Some(b"{}".to_vec()),
            };
            let signed =
                sample(&request, &packs, now).unwrap_or_else(|why| panic!("{table}: {why}"));
            assert_eq!(signed.method, "PUT", "the method of the hook");
            let params = [("token", "user:secret")];
            let segment = "/in/user%3Asecret";
            assert_eq!(
                signed.url.contains(segment),
                path == "/in/token",
                "{table}: {}",
                signed.url
            );

            let verifier = Verifier::build(&verify, &packs).unwrap();
            let keys = Keys::new([(verifier.key_form(), Ok(secret))]);
            let context = VerifyContext {
                keys: &keys,
                documents: &NoKeyDocuments,
                now: Some(now),
            };
            let verdict = check(&verifier, received(signed, &params), &context, None);
            assert!(
                matches!(verdict, Ok(Verdict::Verified(_))),
                "{table}: {verdict:?}"
            );
        }

        let request = SampleRequest {
            verify: VerifySpec::default(),
            ..SampleRequest::of_provider("github", BTreeMap::new(), "http://a.example/".into())
        };
        let error = sample(&request, &packs, now).unwrap_err().to_string();
        assert!(error.contains("provider or scheme is missing"), "{error}");
    }

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
