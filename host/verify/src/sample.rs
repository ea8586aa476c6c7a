//! A whole request as a provider sends it, from what an operator types: for `landfall sign` and `send`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::auth_scheme::AuthScheme;
use crate::key::{self, KeyBytes};
use crate::pack::{Pack, Packs};
use crate::schemes;
use crate::settings;
use crate::sign::sign;
use crate::verifier::Verifier;
use landfall_model::{ConfigValue, KeyForm, Secret, VerifySpec};

/// What to make.
#[derive(Debug, Clone)]
pub struct SampleRequest {
    /// A pack.
    pub provider: String,
    /// The kind of event; none = the pack's sample.
    pub event: Option<String>,
    /// Where the request will go.
    pub url: String,
    /// The URL that the provider calls and signs, where it is another one.
    pub public_url: Option<String>,
    /// The shared secret, as the provider shows it; none where it has none.
    pub secret: Option<Secret>,
    /// Instead of the sample.
    pub body: Option<Vec<u8>>,
    /// Values of the operator that the scheme names.
    pub config: BTreeMap<String, String>,
}

/// A signed request.
#[derive(Debug, Clone)]
pub struct SignedSample {
    /// Upper case.
    pub method: String,
    /// With the query that signing may have added.
    pub url: String,
    /// In no request.
    pub headers: Vec<(String, String)>,
    /// Exactly the bytes that were signed.
    pub body: Vec<u8>,
}

/// Makes it, as if sent at `now`. The error is a sentence with the way out.
pub fn sample(
    request: &SampleRequest,
    packs: &Packs,
    now: SystemTime,
) -> Result<SignedSample, String> {
    let pack = packs.find(&request.provider)?;
    let target = parse_url(&request.url)?;
    let called = match request.public_url.as_deref() {
        Some(text) => whole_url(text, &target)?,
        None => target.clone(),
    };

    let verifier = verifier(request, &pack, &called, packs)?;
    let mut draft = pack.draft(request.event.as_deref(), &request.url)?;
    if let Some(body) = &request.body {
        draft.body = body.clone().into();
    }

    // Where the URL is signed, the provider signs the one that it calls.
    let signs_path = target.path() != called.path() && request.public_url.is_some();
    if signs_path {
        draft.path = called.path().into();
        draft.query = called.query().or(target.query()).map(str::to_owned);
    }

    let key = key(request, &verifier)?;
    let mut signed = sign(&verifier, draft, &key, now)?;
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
        headers: headers.collect::<Result<_, String>>()?,
        body: signed.body.to_vec(),
    })
}

fn key(request: &SampleRequest, verifier: &Verifier) -> Result<KeyBytes, String> {
    let Some(secret) = &request.secret else {
        return if verifier.needs_secret() {
            Err("a secret is missing: add --secret env:NAME or --secret file:PATH".into())
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
        return Err("this provider signs with a private key that only it has".into());
    }

    let key =
        key::decode(verifier.key_form(), secret).map_err(|why| format!("the secret {why}"))?;
    if key.is_empty() {
        return Err("the secret is empty".into());
    }

    Ok(key)
}

/// That of a hook which the provider calls at this URL. Values that only handshakes need may be missing.
fn verifier(
    request: &SampleRequest,
    pack: &Pack,
    called: &url::Url,
    packs: &Packs,
) -> Result<Verifier, String> {
    let config = request
        .config
        .iter()
        .map(|(name, value)| (name.clone(), ConfigValue::One(value.clone())));

    let mut typed = VerifySpec {
        provider: Some(request.provider.clone()),
        secret: vec!["env:SECRET".parse()?],
        public_url: Some(called.origin().ascii_serialization()),
        config: config.collect(),
        ..VerifySpec::default()
    };

    let read = settings::names_read(&pack.merge(&typed));
    let filled = settings::filled(pack, typed.clone());
    typed.challenge_secret = filled.challenge_secret;

    for (name, value) in filled.config {
        if !read.contains(&name) {
            typed.config.entry(name).or_insert(value);
        }
    }

    let needs = |key: &str| {
        if key == "config" {
            "; here it is --config NAME=VALUE"
        } else {
            ""
        }
    };

    Verifier::build(&typed, packs).map_err(|error| format!("{}{}", error.message, needs(error.key)))
}

/// The URL that the provider calls. Scheme and host alone, as in a hook's `public_url`, get path and query of the target.
fn whole_url(text: &str, target: &url::Url) -> Result<url::Url, String> {
    let mut url = parse_url(text)?;
    if url.path() == "/" && url.query().is_none() && !text.ends_with('/') {
        url.set_path(target.path());
        url.set_query(target.query());
    }

    Ok(url)
}

fn parse_url(text: &str) -> Result<url::Url, String> {
    url::Url::parse(text).map_err(|why| format!("`{text}` is not a URL: {why}"))
}
