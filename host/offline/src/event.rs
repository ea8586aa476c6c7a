//! Makes the event of a case: the request as the provider sends it, and what the host would find in
//! it.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use landfall_model::{Event, EventId};
use landfall_verify::{
    AuthScheme, Keys, NoKeyDocuments, Unverified, Verdict, VerifyContext, check,
};
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use crate::case::{BodySpec, CLIENT_ADDRESS, Case, EventSpec, header_value};
use crate::error::OfflineError;
use crate::files;
use crate::hook::OfflineHook;
use crate::pointer::Override;

/// The host of a request whose case names none.
const HOST_DEFAULT: &str = "localhost";
/// The address of a sender whose case names none.
const CLIENT_DEFAULT: &str = "127.0.0.1";
/// The URL of samples.
const ORIGIN: &str = "http://localhost";

/// The event of a case. `overrides` come from the command line.
pub(crate) fn event(
    case: &Case,
    hook: &OfflineHook,
    overrides: &[Override],
) -> Result<Event, OfflineError> {
    let request = request(case, hook, overrides)?;
    check_request(case, hook, &request)?;

    let spec = &case.event;
    let mut attributes = Vec::new();
    if !spec.is_emitted() {
        attributes.push((CLIENT_ADDRESS.to_owned(), CLIENT_DEFAULT.to_owned()));
    }
    if let Some(parent) = request
        .headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
    {
        attributes.push(("traceparent".to_owned(), parent.to_owned()));
    }
    let params = request.params.iter();
    attributes.extend(params.map(|(name, value)| (format!("param:{name}"), value.clone())));

    // The facts of the request are read as in a node, without a signature.
    let verifier = hook.verifier.clone().without_authentication();
    let keys = Keys::default();
    let context = VerifyContext {
        keys: &keys,
        documents: &NoKeyDocuments,
        now: None,
    };
    let verified = match check(&verifier, request, &context, None) {
        Ok(Verdict::Verified(verified)) => verified,
        Ok(Verdict::Challenge(_)) => {
            let why = "this request is an ownership check, which the host answers: no handler receives it";
            return Err(mistake(case, &["event"], why));
        }
        Err(refusal) => return Err(mistake(case, &["event"], &refusal.to_string())),
    };

    let event = verified.into_event(&hook.name, case.now, attributes);
    let mut event = match hook.spec.redact.event(event) {
        Ok(event) => event,
        Err(error) => return Err(mistake(case, &["event"], &error.to_string())),
    };
    event.id = EventId::numbered(case.now, case.seed, 0);
    set_attributes(&mut event, spec, hook);
    Ok(event)
}

/// What a verified request of this hook would have, and what the case names.
fn set_attributes(event: &mut Event, spec: &EventSpec, hook: &OfflineHook) {
    let scheme = hook.verifier.auth_scheme();
    let verified_by = if hook.verifier.secrets().is_empty() {
        scheme.word().to_owned()
    } else {
        format!("{}#1", scheme.word())
    };
    if *scheme != AuthScheme::Closed {
        set(event, "verified-by", &verified_by);
        set(event, "verified-by-scheme", scheme.kind());
    }

    let named = [
        ("provider", &spec.provider),
        ("event-type", &spec.event_type),
        ("delivery-id", &spec.delivery_id),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            set(event, name, value);
        }
    }
    for (name, value) in &spec.attributes {
        set(event, name, value);
    }
}

fn set(event: &mut Event, name: &str, value: &str) {
    event.attributes.retain(|(known, _)| known != name);
    event.attributes.push((name.to_owned(), value.to_owned()));
}

// === The request ===

fn request(
    case: &Case,
    hook: &OfflineHook,
    overrides: &[Override],
) -> Result<Unverified, OfflineError> {
    let spec = &case.event;
    let path = match &spec.path {
        Some(path) => path.clone(),
        None => example_path(&hook.spec.path),
    };
    let params = params(&hook.spec.path, &path).ok_or_else(|| {
        let why = format!(
            "`{path}` is not a path of the hook, which has path = \"{}\"",
            hook.spec.path
        );
        mistake(case, &["event", "path"], &why)
    })?;

    let mut request = draft(case, hook, &path)?;
    request.method = match &spec.method {
        Some(method) => method.clone(),
        None if hook.spec.methods.contains(&request.method) => request.method,
        None => hook.spec.methods.first().cloned().unwrap_or(Method::POST),
    };
    request.params = params;
    if let Some(body) = &spec.body {
        set_body(case, &mut request, body)?;
    }
    for value in spec.set.iter().chain(overrides) {
        override_body(case, &mut request, value)?;
    }
    set_headers(&mut request.headers, &spec.headers);
    if !spec.is_emitted() {
        add_http_headers(&mut request);
    }
    Ok(request)
}

/// What every request over HTTP has, unless the case names it.
fn add_http_headers(request: &mut Unverified) {
    let bytes = request.body.len();
    let headers = &mut request.headers;
    headers
        .entry(header::HOST)
        .or_insert(HeaderValue::from_static(HOST_DEFAULT));
    headers
        .entry(header::CONTENT_LENGTH)
        .or_insert_with(|| bytes.into());
}

/// The headers of the case, in place of those of the sample with the same names.
fn set_headers(headers: &mut HeaderMap, named: &[(String, String)]) {
    const CHECKED: &str = "checked when the case was read";
    let mut own = HeaderMap::new();
    for (name, value) in named {
        let name: HeaderName = name.parse().expect(CHECKED);
        own.append(name, header_value(value).expect(CHECKED));
    }
    // A name with several values has all of them.
    headers.extend(own);
}

/// The provider's sample if the case wants one, otherwise an empty request.
fn draft(case: &Case, hook: &OfflineHook, path: &str) -> Result<Unverified, OfflineError> {
    let spec = &case.event;
    let url = match &spec.query {
        Some(query) => format!("{ORIGIN}{path}?{query}"),
        None => format!("{ORIGIN}{path}"),
    };
    let provider = spec
        .provider
        .as_ref()
        .or(hook.spec.verify.provider.as_ref());
    let wanted = spec.sample.as_ref().or(spec.event_type.as_ref());

    match provider {
        None if spec.sample.is_some() => {
            let why = "the hook file names no provider, so there is no sample: name one with \
                       `provider`, or write `body`, `json` or `text`";
            Err(mistake(case, &["event", "sample"], why))
        }
        // An own body of an unknown type gets no headers of the provider's sample.
        Some(provider) if wanted.is_some() || spec.body.is_none() => {
            let pack = hook
                .packs
                .find(provider)
                .map_err(|error| mistake(case, &["event", "provider"], &error.to_string()))?;
            let id = match &spec.delivery_id {
                Some(id) => id.clone(),
                None => EventId::numbered(case.now, case.seed, 0).to_string(),
            };
            let mut draft = pack
                .draft_with_id(wanted.map(String::as_str), &url, &id)
                .map_err(|error| mistake(case, &["event", "sample"], &error.to_string()))?;
            draft.path = path.to_owned();
            if spec.sample.is_none() && spec.body.is_some() {
                draft.query.clone_from(&spec.query);
            }
            Ok(draft)
        }
        _ => Ok(Unverified {
            method: Method::POST,
            path: path.to_owned(),
            query: spec.query.clone(),
            params: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            decoded: None,
        }),
    }
}

fn set_body(case: &Case, request: &mut Unverified, body: &BodySpec) -> Result<(), OfflineError> {
    let (bytes, content_type) = match body {
        BodySpec::Json(json) => (json.to_string().into_bytes(), Some("application/json")),
        BodySpec::Text(text) => (text.clone().into_bytes(), Some("text/plain; charset=utf-8")),
        BodySpec::File(path) => (read(case, path)?, type_of(path)),
    };
    request.body = bytes.into();
    if let Some(content_type) = content_type {
        request
            .headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    Ok(())
}

fn read(case: &Case, path: &Path) -> Result<Vec<u8>, OfflineError> {
    // The file of `landfall invoke --event` may be a pipe of the shell.
    let bytes = if case.source.text.is_empty() {
        std::fs::read(path)
    } else {
        files::read(path)
    };
    bytes.map_err(|error| {
        let why = format!(
            "{} cannot be read: {error}; the path begins at the folder of the case",
            path.display()
        );
        mistake(case, &["event", "body"], &why)
    })
}

fn type_of(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "json" => Some("application/json"),
        "txt" => Some("text/plain; charset=utf-8"),
        "xml" => Some("application/xml"),
        "form" => Some("application/x-www-form-urlencoded"),
        _ => None,
    }
}

fn override_body(
    case: &Case,
    request: &mut Unverified,
    value: &Override,
) -> Result<(), OfflineError> {
    let place = ["event", "set", value.pointer.as_str()];
    let body: &RawValue = match &request.body[..] {
        [] => RawValue::NULL,
        body => serde_json::from_slice(body).map_err(|error| {
            let why = format!("the body is not JSON, so no value in it can be set: {error}");
            mistake(case, &place, &why)
        })?,
    };
    let body = value
        .apply(body.get())
        .map_err(|error| mistake(case, &place, &error.to_string()))?;
    request.body = body.into();
    Ok(())
}

/// A node refuses such requests before the handler sees them.
fn check_request(
    case: &Case,
    hook: &OfflineHook,
    request: &Unverified,
) -> Result<(), OfflineError> {
    let methods = &hook.spec.methods;
    if !methods.contains(&request.method) {
        let known: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let why = format!(
            "the hook does not take {}: it takes {}",
            request.method,
            known.join(", ")
        );
        return Err(mistake(case, &["event", "method"], &why));
    }

    let (bytes, max) = (request.body.len(), hook.sizes.max_body);
    if !hook.sizes.takes_body(bytes) {
        let why = format!(
            "the body has {bytes} bytes and max_body is {max}: a node answers 413, and no handler runs"
        );
        return Err(mistake(case, &["event", "body"], &why));
    }
    Ok(())
}

fn mistake(case: &Case, key: &[&str], message: &str) -> OfflineError {
    OfflineError::Config(case.mistake(key, message))
}

// === Paths ===

/// A path that the hook serves: parameters are filled in with their names.
pub(crate) fn example_path(path: &str) -> String {
    let segments = path.split('/').map(|segment| match name_of(segment) {
        Some(name) => name.trim_end_matches("..."),
        None => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The parameters of a request path, decoded; `None` if it is not a path of the hook.
fn params(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = path;
    for segment in pattern.split('/').skip(1) {
        if let Some(name) = name_of(segment).and_then(|name| name.strip_suffix("...")) {
            // The rest may be empty, with or without the slash before it.
            let rest = rest.strip_prefix('/').or(rest.is_empty().then_some(""))?;
            found.push((name.to_owned(), decoded(rest)?));
            return Some(found);
        }
        rest = rest.strip_prefix('/')?;
        let (first, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match name_of(segment) {
            Some(_) if first.is_empty() => return None,
            Some(name) => found.push((name.to_owned(), decoded(first)?)),
            None if first == segment => {}
            None => return None,
        }
        rest = after;
    }
    rest.is_empty().then_some(found)
}

fn name_of(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn decoded(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_a_nodes_parameters() {
        let found = |pattern, path| {
            let found = params(pattern, path)?;
            let texts = found.iter().map(|(name, value)| format!("{name}={value}"));
            Some(texts.collect::<Vec<_>>().join(","))
        };
        assert_eq!(found("/a", "/a").as_deref(), Some(""));
        assert_eq!(found("/a/{id}", "/a/x%20y").as_deref(), Some("id=x y"));
        assert_eq!(found("/a/{rest...}", "/a/b/c").as_deref(), Some("rest=b/c"));
        assert_eq!(found("/a/{rest...}", "/a").as_deref(), Some("rest="));
        for (pattern, path) in [
            ("/a", "/b"),
            ("/a", "/a/b"),
            ("/a/{id}", "/a"),
            ("/a/{id}", "/a/"),
        ] {
            assert_eq!(found(pattern, path), None, "{pattern} {path}");
        }
        assert_eq!(example_path("/a/{id}/{rest...}"), "/a/id/rest");
    }
}
