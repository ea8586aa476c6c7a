//! Runs files of request vectors and handshakes through the real check, at the time that each
//! vector names. docs/VECTORS.md describes the formats, which other receivers can use too.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::answer::Answer;
use crate::check::{Verdict, check, streaming_mac};
use crate::keys::{Keys, VerifyContext};
use crate::pack::{Packs, ReplyBody};
use crate::refusal::Refusal;
use crate::request::Unverified;
use crate::schemes::Ebay;
use crate::settings;
use crate::verifier::Verifier;
use crate::window::Window;
use landfall_model::{ConfigValue, Documents, KeyForm, Secret, VerifySpec};

/// The URL of a vector's key set, if the pack names none.
const KEY_SET: &str = "https://keys.example/jwks";

/// Why a file of vectors cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VectorError {
    /// The file is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// The file has no array of vectors.
    #[error("neither an array nor an object with an array `{0}`")]
    NoArray(&'static str),
    /// One member of the array is not what it must be.
    #[error("not {0}: {1}")]
    Malformed(&'static str, String),
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of vectors with the expected result.
    pub passed: usize,
    /// Id, expected and actual result of each other vector.
    pub failures: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Vector {
    id: String,
    scheme: String,
    /// The name of the vector's scheme family.
    #[serde(default)]
    kind: String,
    #[serde(default)]
    secrets: Vec<VectorSecret>,
    #[serde(default)]
    config: BTreeMap<String, Value>,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Value,
    #[serde(default)]
    body_encoding: Option<String>,
    #[serde(default)]
    chunks: Vec<Vec<usize>>,
    now: Option<u64>,
    tolerance: Option<u64>,
    #[serde(default)]
    ignore_timestamp: bool,
    expect: String,
    #[serde(default)]
    alt_reasons: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct VectorSecret {
    encoding: KeyForm,
    value: String,
}

#[derive(Debug, Deserialize)]
struct Handshake {
    id: String,
    provider: String,
    scheme: Option<String>,
    #[serde(default)]
    secrets: Vec<VectorSecret>,
    #[serde(default)]
    config: BTreeMap<String, Value>,
    request: HandshakeRequest,
    #[serde(default)]
    authenticated_by: String,
    expected_response: Expected,
    now: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct HandshakeRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Debug, Deserialize)]
struct Expected {
    status: u16,
    #[serde(default)]
    status_one_of: Vec<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    headers_present: Vec<String>,
    #[serde(default)]
    absent_headers: Vec<String>,
    #[serde(default)]
    header_one_of: BTreeMap<String, Vec<String>>,
    body: Option<String>,
    body_json: Option<Value>,
    #[serde(default)]
    body_one_of: Vec<ExpectedBody>,
    #[serde(default)]
    absent_in_body: Vec<String>,
    deliver_to_plugin: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ExpectedBody {
    body: Option<String>,
    #[serde(rename = "body_json")]
    body_json: Option<Value>,
}

/// The response to a handshake.
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delivered: bool,
}

/// Key documents that the vector file contains.
struct Carried(BTreeMap<String, String>);

impl Documents for Carried {
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

/// Runs request vectors: a JSON array, or an object that holds one as `vectors`.
pub fn run_vectors(text: &str, packs: &Packs) -> Result<Report, VectorError> {
    let mut report = Report::default();
    for value in array(text, "vectors")? {
        let vector: Vector = serde_json::from_value(value)
            .map_err(|error| VectorError::Malformed("a request vector", error.to_string()))?;
        let mut expected = vec![vector.expect.clone()];

        expected.extend(vector.alt_reasons.iter().map(|text| {
            if text.starts_with("reject:") {
                text.clone()
            } else {
                format!("reject:{text}")
            }
        }));

        // A JSON web token is a token and a signature: files use either word if it is missing.
        if vector.kind.starts_with("jwt") && vector.expect == "reject:missing_token" {
            expected.push("reject:missing_signature".into());
        }

        report.record(
            &vector.id,
            &expected.join(" or "),
            run_vector(&vector, packs),
            |got| expected.contains(got),
        );
    }

    Ok(report)
}

/// Runs handshakes: a JSON array, or an object that holds one as `challenges`.
pub fn run_challenges(text: &str, packs: &Packs) -> Result<Report, VectorError> {
    let mut report = Report::default();
    for value in array(text, "challenges")? {
        let handshake: Handshake = serde_json::from_value(value)
            .map_err(|error| VectorError::Malformed("a handshake", error.to_string()))?;
        let got = respond(&handshake, packs)
            .and_then(|response| mistakes(&handshake.expected_response, &response));
        report.record(&handshake.id, "no difference", got, |got| {
            got == "no difference"
        });
    }

    Ok(report)
}

// === impl Report ===

impl Report {
    fn record(
        &mut self,
        id: &str,
        expected: &str,
        got: Result<String, String>,
        is_right: impl Fn(&String) -> bool,
    ) {
        let got = got.unwrap_or_else(|error| format!("error: {error}"));
        if is_right(&got) {
            self.passed += 1
        } else {
            self.failures
                .push(format!("{id}: expected {expected}, got {got}"))
        }
    }
}

fn array(text: &str, key: &'static str) -> Result<Vec<Value>, VectorError> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| VectorError::NotJson(error.to_string()))?;
    match value {
        Value::Array(values) => Ok(values),
        Value::Object(mut object) => match object.remove(key) {
            Some(Value::Array(values)) => Ok(values),
            _ => Err(VectorError::NoArray(key)),
        },
        _ => Err(VectorError::NoArray(key)),
    }
}

/// The verdict. It must be the same for every chunking of the body.
fn run_vector(vector: &Vector, packs: &Packs) -> Result<String, String> {
    let verifier = verifier(
        &vector.scheme,
        &vector.config,
        &vector.secrets,
        &vector.url,
        packs,
    )?;

    let verifier = match (
        vector.ignore_timestamp,
        vector.tolerance.map(Duration::from_secs),
    ) {
        (true, _) => verifier.with_window(Window {
            past: None,
            future: None,
        }),
        (false, Some(span)) => verifier.with_window(Window {
            past: Some(span),
            future: Some(span),
        }),
        (false, None) => verifier.with_documented_window(),
    };

    let body = body_of(vector)?;
    let request = match request(&vector.method, &vector.url, &vector.headers, body.clone()) {
        Ok(request) => request,
        // HTTP libraries reject such a request.
        Err(why) => return Ok(format!("reject:malformed_signature ({why})")),
    };

    let documents = documents(&vector.config);
    let keys = keys(&verifier, &vector.secrets);
    let context = VerifyContext {
        keys: &keys,
        documents: &documents,
        now: vector.now.map(time),
    };

    let verdict = |feeding| match check(&verifier, request.clone(), &context, feeding) {
        Ok(Verdict::Verified(_) | Verdict::Challenge(_)) => "accept".to_owned(),
        Err(Refusal { reason, .. }) => format!("reject:{}", reason.word()),
    };

    let whole = verdict(None);
    let head = Unverified {
        body: Bytes::new(),
        ..request.clone()
    };

    for sizes in vector.chunks.iter().chain([&vec![1 << 30]]) {
        let mut feeding = streaming_mac(&verifier, &head, &keys);
        if let Some(feeding) = &mut feeding {
            pieces(&body, sizes)
                .iter()
                .for_each(|piece| feeding.update(piece));
        }

        let fed = verdict(feeding);
        if fed != whole {
            return Ok(format!("{whole} whole and {fed} in pieces of {sizes:?}"));
        }
    }

    Ok(whole)
}

fn verifier(
    scheme: &str,
    config: &BTreeMap<String, Value>,
    secrets: &[VectorSecret],
    url: &str,
    packs: &Packs,
) -> Result<Verifier, String> {
    let any_topic = ("topic_arns".to_owned(), ConfigValue::One("*".into()));
    let one = |name: &str, value: &str| (name.to_owned(), ConfigValue::One(value.into()));
    let mut values = BTreeMap::from([
        one("jwks", KEY_SET),
        one("key_url", KEY_SET),
        one("client_id", "client"),
        any_topic,
    ]);

    for (name, value) in config {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            _ => None,
        };

        match value {
            Value::Array(many) => drop(values.insert(
                name.clone(),
                ConfigValue::Many(many.iter().filter_map(text).collect()),
            )),
            one => drop(text(one).map(|one| values.insert(name.clone(), ConfigValue::One(one)))),
        }
    }

    let spec = VerifySpec {
        provider: Some(scheme.into()),
        // The check gets its keys from the vector. This only says that there are secrets.
        secret: secrets
            .iter()
            .map(|_| "env:VECTOR".parse().expect("a good reference"))
            .collect(),
        challenge_secret: vec!["env:VECTOR".parse().expect("a good reference")],
        public_url: Some(split(url).0.into()),
        config: values,
        ..VerifySpec::default()
    };

    let spec = packs
        .find(scheme)
        .map(|pack| settings::fill_in(&pack, spec.clone()))
        .unwrap_or(spec);

    let spec = if secrets.is_empty() {
        VerifySpec {
            secret: vec!["env:VECTOR".parse().expect("a good reference")],
            ..spec
        }
    } else {
        spec
    };

    Verifier::build(&spec, packs)
        .map_err(|error| format!("[verify] {}: {}", error.key, error.message))
}

/// A vector names the form of its secret. If that is plain text, the pack may still derive the key
/// from it.
fn keys(verifier: &Verifier, secrets: &[VectorSecret]) -> Keys {
    let form = |written: KeyForm| match (written, verifier.key_form()) {
        (KeyForm::Utf8, KeyForm::Sha1) => KeyForm::Sha1,
        (written, _) => written,
    };

    Keys::new(secrets.iter().map(|secret| {
        (
            form(secret.encoding),
            Ok(Secret::new(secret.value.as_bytes())),
        )
    }))
}

fn documents(config: &BTreeMap<String, Value>) -> Carried {
    let mut carried = BTreeMap::new();
    for (url, text) in config
        .get("documents")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        carried.insert(
            url.clone(),
            text.as_str()
                .map_or_else(|| text.to_string(), str::to_owned),
        );
    }

    if let Some(set) = config.get("jwks").filter(|set| set.is_object()) {
        carried.insert(KEY_SET.into(), set.to_string());
    }

    // Keys that eBay's API returns by id.
    for (key_id, key) in config
        .get("keys")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        carried.insert(
            Ebay::Production.key_url(key_id),
            serde_json::json!({ "key": key }).to_string(),
        );
    }

    Carried(carried)
}

fn request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Result<Unverified, String> {
    let (_, path, query) = split(url);
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|_| format!("header name {name}"))?;
        map.append(
            name,
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| "header value".to_owned())?,
        );
    }

    Ok(Unverified {
        method: method.parse::<Method>().map_err(|_| "method".to_owned())?,
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

fn body_of(vector: &Vector) -> Result<Bytes, String> {
    let text = || {
        vector
            .body
            .as_str()
            .ok_or_else(|| "body is not text".to_owned())
    };

    match vector.body_encoding.as_deref() {
        None | Some("utf-8") => Ok(Bytes::copy_from_slice(text()?.as_bytes())),
        Some("base64") => STANDARD
            .decode(text()?)
            .map(Bytes::from)
            .map_err(|_| "body is not base64".into()),
        Some("repeat") => {
            let unit = vector.body["unit"].as_str().ok_or("body has no unit")?;
            let count = vector.body["count"].as_u64().ok_or("body has no count")? as usize;
            if unit.len().saturating_mul(count) <= (64 << 20) {
                Ok(unit.repeat(count).into())
            } else {
                Err("body is larger than 64 MiB".into())
            }
        }
        Some(other) => Err(format!("body_encoding `{other}` is not known")),
    }
}

/// Cycles through the chunk sizes until the body ends.
fn pieces(body: &Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut rest = body.clone();
    let mut sizes = sizes.iter().copied().filter(|size| *size > 0).cycle();
    let mut pieces = Vec::new();
    while let (false, Some(size)) = (rest.is_empty(), sizes.next()) {
        pieces.push(rest.split_to(size.min(rest.len())));
    }

    pieces
}

/// Times out of range are clamped.
fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(UNIX_EPOCH + Duration::from_secs(1 << 40))
}

fn respond(handshake: &Handshake, packs: &Packs) -> Result<Response, String> {
    let asked = &handshake.request;
    let scheme = handshake.scheme.as_deref().unwrap_or(&handshake.provider);
    let verifier = verifier(
        scheme,
        &handshake.config,
        &handshake.secrets,
        &asked.url,
        packs,
    )?;

    // If nothing authenticates an ownership check that is an event too, it is accepted.
    let is_event = handshake.expected_response.deliver_to_plugin == Some(true);
    let open = handshake.secrets.is_empty() && handshake.authenticated_by == "none" && is_event;
    let verifier = if open {
        verifier.without_authentication()
    } else {
        verifier
    };

    let request = request(
        &asked.method,
        &asked.url,
        &asked.headers,
        Bytes::copy_from_slice(asked.body.as_bytes()),
    )?;

    let documents = documents(&handshake.config);
    // A handshake without a secret is sent to a hook that has one.
    let keys = if handshake.secrets.is_empty() {
        Keys::new([(
            KeyForm::Utf8,
            Ok(Secret::new("a secret that the handshake does not know")),
        )])
    } else {
        keys(&verifier, &handshake.secrets)
    };

    let context = VerifyContext {
        keys: &keys,
        documents: &documents,
        now: handshake.now.map(time),
    };

    let is_post = request.method == Method::POST;
    let answers = verifier.answers();
    let response =
        |status: u16, headers: Vec<(String, String)>, body: String, delivered: bool| Response {
            status,
            headers,
            body: if answers.reply_body == ReplyBody::Empty {
                String::new()
            } else {
                body
            },
            delivered,
        };

    Ok(match check(&verifier, request, &context, None) {
        // A pairing never replaces an existing secret.
        Ok(Verdict::Challenge(Answer { pair: Some(_), .. })) if !handshake.secrets.is_empty() => {
            response(
                answers.sent_status(answers.refused_status),
                Vec::new(),
                "unauthorized".into(),
                false,
            )
        }
        Ok(Verdict::Challenge(answer)) => {
            let mut headers = answer.headers;
            if let Some((content_type, _)) = &answer.body {
                headers.push(("content-type".into(), (*content_type).into()));
                headers.push(("x-content-type-options".into(), "nosniff".into()));
            }

            let body = answer.body.map(|(_, body)| body).unwrap_or_default();
            Response {
                status: answer.status,
                headers,
                body,
                delivered: false,
            }
        }
        _ if !is_post => response(answers.sent_status(405), Vec::new(), String::new(), false),
        Ok(Verdict::Verified(_)) => response(200, Vec::new(), String::new(), true),
        Err(refusal) if refusal.is_ours() => response(503, Vec::new(), "unavailable".into(), false),
        Err(_) => response(
            answers.sent_status(answers.refused_status),
            Vec::new(),
            "unauthorized".into(),
            false,
        ),
    })
}

/// All differences, or `no difference`.
fn mistakes(expected: &Expected, got: &Response) -> Result<String, String> {
    let mut wrong = Vec::new();
    let mut statuses = expected.status_one_of.clone();
    statuses.push(expected.status);

    if !statuses.contains(&got.status) {
        wrong.push(format!(
            "status {} instead of {}",
            got.status, expected.status
        ));
    }

    let header = |name: &str| {
        got.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };

    let one_of = |name: &String| expected.header_one_of.get(&name.to_ascii_lowercase());
    for (name, value) in &expected.headers {
        let given = header(name).map(|given| given.split(';').next().unwrap_or_default().trim());
        let is_allowed = one_of(name)
            .is_some_and(|values| given.is_some_and(|given| values.iter().any(|one| one == given)));

        // Another accepted form of the body may have another content type.
        let other_form =
            name.eq_ignore_ascii_case("content-type") && !expected.body_one_of.is_empty();
        if given != Some(value.as_str()) && !is_allowed && !other_form {
            wrong.push(format!("header {name} is {given:?} instead of {value:?}"));
        }
    }

    wrong.extend(
        expected
            .headers_present
            .iter()
            .filter(|name| header(name).is_none())
            .map(|name| format!("no header {name}")),
    );

    wrong.extend(
        expected
            .absent_headers
            .iter()
            .filter(|name| header(name).is_some())
            .map(|name| format!("header {name}")),
    );

    let is_json =
        |value: &Value| serde_json::from_str::<Value>(&got.body).is_ok_and(|body| body == *value);
    let is_body = |body: &Option<String>, json: &Option<Value>| {
        body.as_ref().is_none_or(|body| *body == got.body) && json.as_ref().is_none_or(is_json)
    };

    let others = expected
        .body_one_of
        .iter()
        .any(|other| is_body(&other.body, &other.body_json));
    if !is_body(&expected.body, &expected.body_json) && !others {
        wrong.push(format!("body {:?}", got.body));
    }

    wrong.extend(
        expected
            .absent_in_body
            .iter()
            .filter(|text| got.body.contains(*text))
            .map(|_| "body holds what must not leak".to_owned()),
    );

    if expected
        .deliver_to_plugin
        .is_some_and(|delivered| delivered != got.delivered)
    {
        wrong.push(format!("delivered: {}", got.delivered));
    }

    Ok(if wrong.is_empty() {
        "no difference".into()
    } else {
        wrong.join(", ")
    })
}

#[cfg(test)]
#[path = "conformance_tests.rs"]
mod tests;
