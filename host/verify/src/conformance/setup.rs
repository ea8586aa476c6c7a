//! Builds the verifier, the keys, the key documents and the request of a vector.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;

use super::error::RequestError;
use crate::builder::BuildError;
use crate::keys::Keys;
use crate::pack::Packs;
use crate::request::Unverified;
use crate::schemes::Ebay;
use crate::settings;
use crate::verifier::Verifier;
use landfall_model::{ConfigValue, Documents, KeyForm, Secret, SecretRef, VerifySpec};

/// The URL of a vector's key set, if the pack names none.
const KEY_SET: &str = "https://keys.example/jwks";

/// Values that packs require and that no vector depends on.
const CONFIG_DEFAULTS: [(&str, &str); 4] = [
    ("jwks", KEY_SET),
    ("key_url", KEY_SET),
    ("client_id", "client"),
    ("topic_arns", "*"),
];

#[derive(Debug, Deserialize)]
pub(super) struct VectorSecret {
    encoding: KeyForm,
    value: String,
}

/// Key documents that the vector file contains.
pub(super) struct VectorDocuments(BTreeMap<String, String>);

impl Documents for VectorDocuments {
    fn get(&self, url: &str) -> Option<Bytes> {
        // A vector has one key set. It is returned for every URL.
        let text = self.0.get(url).or_else(|| self.0.get(KEY_SET))?;
        let Some((_, key_id)) = url.split_once('#') else {
            return Some(Bytes::copy_from_slice(text.as_bytes()));
        };

        let set: Value = serde_json::from_str(text).ok()?;
        let key = set["keys"]
            .as_array()?
            .iter()
            .find(|key| key["kid"] == key_id)?;

        Some(serde_json::json!({ "key": key }).to_string().into())
    }
}

pub(super) fn verifier(
    scheme: &str,
    config: &BTreeMap<String, Value>,
    secrets: &[VectorSecret],
    url: &str,
    packs: &Packs,
) -> Result<Verifier, BuildError> {
    let mut values: BTreeMap<String, ConfigValue> = CONFIG_DEFAULTS
        .into_iter()
        .map(|(name, value)| (name.to_owned(), ConfigValue::One(value.into())))
        .collect();
    for (name, value) in config {
        values.extend(config_value(value).map(|value| (name.clone(), value)));
    }

    let spec = VerifySpec {
        provider: Some(scheme.into()),
        // The check gets its keys from the vector. This only says that there are secrets.
        secret: secrets.iter().map(|_| secret_ref()).collect(),
        challenge_secret: vec![secret_ref()],
        public_url: Some(split(url).0.into()),
        config: values,
        ..VerifySpec::default()
    };

    let mut spec = match packs.find(scheme) {
        Ok(pack) => settings::fill_in(&pack, spec),
        Err(_) => spec,
    };
    if secrets.is_empty() {
        spec.secret = vec![secret_ref()];
    }

    Verifier::build(&spec, packs)
}

fn secret_ref() -> SecretRef {
    "env:VECTOR".parse().expect("a good reference")
}

/// A value of the vector's `config` as a hook file has it; `None` for key documents.
fn config_value(value: &Value) -> Option<ConfigValue> {
    match value {
        Value::Array(many) => Some(ConfigValue::Many(
            many.iter().filter_map(config_text).collect(),
        )),
        one => config_text(one).map(ConfigValue::One),
    }
}

fn config_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A vector names the form of its secret. If that is plain text, the pack may still derive the key
/// from it.
pub(super) fn keys(verifier: &Verifier, secrets: &[VectorSecret]) -> Keys {
    Keys::new(secrets.iter().map(|secret| {
        let form = match (secret.encoding, verifier.key_form()) {
            (KeyForm::Utf8, KeyForm::Sha1) => KeyForm::Sha1,
            (written, _) => written,
        };

        (form, Ok(Secret::new(secret.value.as_bytes())))
    }))
}

pub(super) fn documents(config: &BTreeMap<String, Value>) -> VectorDocuments {
    let mut documents = BTreeMap::new();
    for (url, value) in members(config, "documents") {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        documents.insert(url.clone(), text);
    }

    if let Some(set) = config.get("jwks").filter(|set| set.is_object()) {
        documents.insert(KEY_SET.into(), set.to_string());
    }

    // Keys that eBay's API returns by id.
    for (key_id, key) in members(config, "keys") {
        let url = Ebay::Production.key_url(key_id);
        documents.insert(url, serde_json::json!({ "key": key }).to_string());
    }

    VectorDocuments(documents)
}

fn members<'a>(
    config: &'a BTreeMap<String, Value>,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let object = config.get(name).and_then(Value::as_object);
    object.into_iter().flatten()
}

pub(super) fn request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Result<Unverified, RequestError> {
    let (_, path, query) = split(url);
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name
            .parse()
            .map_err(|_| RequestError::HeaderName(name.clone()))?;
        let value = HeaderValue::from_bytes(value.as_bytes());
        map.append(name, value.map_err(|_| RequestError::HeaderValue)?);
    }

    Ok(Unverified {
        method: method.parse::<Method>().map_err(|_| RequestError::Method)?,
        path: path.into(),
        query: query.map(str::to_owned),
        params: Vec::new(),
        headers: map,
        body,
        decoded: None,
    })
}

/// Splits a URL into scheme and authority, path and query, without normalisation.
fn split(url: &str) -> (&str, &str, Option<&str>) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..]
        .find(['/', '?'])
        .map_or(url.len(), |at| authority + at);
    let (base, rest) = url.split_at(end);
    let (path, query) = rest
        .split_once('?')
        .map_or((rest, None), |(path, query)| (path, Some(query)));

    (base, if path.is_empty() { "/" } else { path }, query)
}

/// Times out of range are clamped.
pub(super) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(UNIX_EPOCH + Duration::from_secs(1 << 40))
}
