//! A view of a request that parses its body at most once, on first use.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use bytes::Bytes;
use serde_json::Value;

use crate::json_paths::{self, JsonPaths, JsonValue, Scanned, ScannedValues};
use crate::multipart;
use crate::raw_json;
use crate::refusal::{Reason, Refusal};
use crate::request::Unverified;
use crate::unique_json;
use landfall_model::ValueLocation;

const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The largest body that a check parses as JSON or as a form.
const PARSED_BYTES_MAX: usize = 8 << 20;

/// A parsed object takes a hundred times its text in memory, and the sender is not authenticated
/// yet.
const OBJECTS_MAX: usize = 20_000;
const VALUES_MAX: usize = 400_000;
/// The most pairs of a form.
const PAIRS_MAX: usize = 10_000;

/// A request and its parsed parts.
pub(crate) struct View<'a> {
    pub(crate) request: &'a Unverified,
    /// The configured public URL.
    pub(crate) public_url: Option<&'a PublicUrl>,
    /// The form field with the JSON document.
    json_field: Option<&'a str>,
    /// Whether JSON with duplicate keys is rejected.
    is_strict: bool,
    /// Whether the body is still compressed, so that nothing can be read from it.
    is_encoded: bool,
    wants_content: Cell<bool>,
    /// The claims of the verified JSON web token.
    claims: OnceCell<Value>,
    json: OnceCell<Option<Value>>,
    /// The JSON pointers that are read together.
    json_paths: Option<&'a JsonPaths>,
    /// The values at `json_paths`.
    scanned: OnceCell<Option<ScannedValues<'a>>>,
    form: OnceCell<Option<Vec<(String, String)>>>,
    fields: OnceCell<Option<Vec<(String, String)>>>,
}

/// The two kinds of form bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Urlencoded,
    Multipart,
}

/// The configured URL that senders call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicUrl {
    /// The part before the request's path, without a trailing slash.
    Base(String),
    /// The whole URL, without the query of the request. If it has a query, the request must have
    /// none, or the same.
    Whole(String),
}

/// Why a location has no single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    Missing,
    /// The value occurs more than once.
    Duplicate,
    /// The body is not JSON.
    NoJson,
}

// === impl View ===

impl<'a> View<'a> {
    pub(crate) fn new(request: &'a Unverified, public_url: Option<&'a PublicUrl>) -> View<'a> {
        let (json, form, fields) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        let (is_encoded, wants_content, claims) = (false, Cell::new(false), OnceCell::new());
        View {
            request,
            public_url,
            json_field: None,
            is_strict: false,
            is_encoded,
            wants_content,
            claims,
            json,
            json_paths: None,
            scanned: OnceCell::new(),
            form,
            fields,
        }
    }

    /// Reads the values at these JSON pointers together, when the first of them is needed.
    pub(crate) fn with_json_paths(self, json_paths: &'a JsonPaths) -> View<'a> {
        View {
            json_paths: Some(json_paths),
            ..self
        }
    }

    /// Marks the body as still compressed.
    pub(crate) fn encoded(self) -> View<'a> {
        View {
            is_encoded: true,
            ..self
        }
    }

    /// Whether a value inside a compressed body was requested. Conclusions from its absence are
    /// invalid.
    pub(crate) fn wants_content(&self) -> bool {
        self.wants_content.get()
    }

    /// The decompressed body; `None` while it is compressed.
    fn content(&self) -> Option<&'a Bytes> {
        if self.is_encoded {
            self.wants_content.set(true);
            return None;
        }

        Some(self.request.content())
    }

    /// Rejects JSON with duplicate keys, for signatures that do not cover the whole body: the
    /// consumer of the event might read the value that is not signed.
    pub(crate) fn strict(self, is_strict: bool) -> View<'a> {
        View { is_strict, ..self }
    }

    /// Sets the form field with the JSON document.
    pub(crate) fn with_json_field(self, json_field: Option<&'a str>) -> View<'a> {
        View { json_field, ..self }
    }

    /// The JSON document: the body, or a field of the form. `None` if it is not JSON, or exceeds
    /// the limits of a check.
    pub(crate) fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| self.read_json()).as_ref()
    }

    /// The value at a JSON pointer in the document.
    pub(crate) fn json_at(&self, pointer: &str) -> Result<JsonValue<'_>, Absent> {
        let Some(place) = self.place_in_scan(pointer) else {
            let json = self.json().ok_or(Absent::NoJson)?;
            return json
                .pointer(pointer)
                .map(JsonValue::of)
                .ok_or(Absent::Missing);
        };

        let scanned = self.scanned.get_or_init(|| self.scan());
        let found = scanned.as_ref().ok_or(Absent::NoJson)?;
        found[place]
            .as_ref()
            .map(Scanned::value)
            .ok_or(Absent::Missing)
    }

    /// The position of a pointer in `scanned`. `None`: the tree is needed.
    fn place_in_scan(&self, pointer: &str) -> Option<usize> {
        if self.is_strict || self.json.get().is_some() || self.field_with_json().is_some() {
            return None;
        }

        self.json_paths?.position(pointer)
    }

    fn scan(&self) -> Option<ScannedValues<'a>> {
        let body = self.content().filter(|body| is_readable(body))?;
        self.json_paths?.scan(body)
    }

    /// Whether the JSON document is an object that has at least one key, and only keys of this
    /// list.
    pub(crate) fn has_only_keys(&self, keys: &[String]) -> bool {
        if self.json.get().is_none() && self.field_with_json().is_none() {
            let body = self.content().filter(|body| is_readable(body));
            let has_only_these = body.is_some_and(|body| json_paths::has_only_keys(body, keys));
            if !has_only_these || !self.is_strict {
                return has_only_these;
            }
        }

        let object = self.json().and_then(Value::as_object);
        object
            .is_some_and(|object| !object.is_empty() && object.keys().all(|key| keys.contains(key)))
    }

    /// The form field that contains the document of this request.
    fn field_with_json(&self) -> Option<&'a str> {
        self.json_field.filter(|_| self.form_kind().is_some())
    }

    fn read_json(&self) -> Option<Value> {
        self.parse_json(self.json_text()?)
    }

    /// The text of the JSON document.
    fn json_text(&self) -> Option<&[u8]> {
        match self.field_with_json() {
            Some(field) => Some(self.field(field).ok()?.as_bytes()),
            None => Some(&self.content()?[..]),
        }
    }

    fn parse_json(&self, text: &[u8]) -> Option<Value> {
        if !is_readable(text) {
            None
        } else if self.is_strict {
            unique_json::parse(text)
        } else {
            serde_json::from_slice(text).ok()
        }
    }

    /// The form field with the JSON document of this request; `None` if the body itself is the
    /// document.
    pub(crate) fn json_field(&self) -> Option<&'a str> {
        self.field_with_json().filter(|_| self.json().is_some())
    }

    /// Whether the content type is `application/x-www-form-urlencoded`.
    pub(crate) fn is_urlencoded(&self) -> bool {
        self.form_kind() == Some(Form::Urlencoded)
    }

    fn form_kind(&self) -> Option<Form> {
        let essence = content_essence(self)?;
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Form::Urlencoded)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            Some(Form::Multipart)
        } else {
            None
        }
    }

    /// The text fields of a form of either kind, without files. `None`: the body is no form.
    pub(crate) fn form_fields(&self) -> Option<&[(String, String)]> {
        self.form_kind()?;
        self.fields()
    }

    /// The text fields of a form of either kind, without files.
    fn fields(&self) -> Option<&[(String, String)]> {
        if self.form_kind() != Some(Form::Multipart) {
            return self.form();
        }

        self.fields.get_or_init(|| self.read_multipart()).as_deref()
    }

    fn read_multipart(&self) -> Option<Vec<(String, String)>> {
        let content_type = std::str::from_utf8(self.header("content-type").ok()?).ok()?;
        let body = self.content()?;
        if body.len() <= PARSED_BYTES_MAX {
            multipart::text_fields(content_type, body)
        } else {
            None
        }
    }

    /// The single value of a form field.
    fn field(&self, name: &str) -> Result<&str, Absent> {
        let fields = self.fields().unwrap_or_default();
        one(fields
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str()))
    }

    /// The claims of the verified token.
    pub(crate) fn claims(&self) -> Option<&Value> {
        self.claims.get()
    }

    /// Stores the claims of the verified token.
    pub(crate) fn keep_claims(&self, claims: serde_json::Map<String, Value>) {
        // A request has only one token.
        let _ = self.claims.set(Value::Object(claims));
    }

    /// The decoded pairs of a form body, in their order; `None` if they are not UTF-8, or exceed
    /// the limits of a check.
    pub(crate) fn form(&self) -> Option<&[(String, String)]> {
        self.form.get_or_init(|| self.read_form()).as_deref()
    }

    fn read_form(&self) -> Option<Vec<(String, String)>> {
        let body = self.content()?;
        let is_small =
            body.len() <= PARSED_BYTES_MAX && memchr::memchr_iter(b'&', body).count() <= PAIRS_MAX;
        let is_text = is_small && percent_encoding::percent_decode(body).decode_utf8().is_ok();

        is_text.then(|| url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// The pairs of the form body, or the refusal.
    pub(crate) fn needed_form(&self) -> Result<&[(String, String)], Refusal> {
        self.form().ok_or_else(|| {
            Refusal::new(
                Reason::MalformedBody,
                "the body is not a form in UTF-8, or it is too large",
            )
        })
    }

    /// The single value at a location. White space around a header value is trimmed. An empty value
    /// counts as missing. With `numbers`, a JSON number is returned as its text.
    pub(crate) fn find(
        &self,
        place: &ValueLocation,
        numbers: bool,
    ) -> Result<Cow<'_, [u8]>, Absent> {
        let found: Cow<'_, [u8]> = match place {
            ValueLocation::Header(name) => self.header(name)?.into(),
            ValueLocation::Query(name) => one(self.query(name))?.into_bytes().into(),
            ValueLocation::Json(pointer) => match self.json_at(pointer)? {
                JsonValue::Text(text) => text.as_bytes().into(),
                // A number that parsing has rounded is not the number that was sent.
                JsonValue::Scalar(Value::Number(number))
                    if numbers && (!number.is_f64() || is_exact(number)) =>
                {
                    number.to_string().into_bytes().into()
                }
                JsonValue::Scalar(_) | JsonValue::Container => return Err(Absent::Missing),
            },
            ValueLocation::Form(name) => self.field(name)?.as_bytes().into(),
            ValueLocation::Path(_) => percent_encoding::percent_decode_str(self.last_segment())
                .collect::<Vec<u8>>()
                .into(),
            ValueLocation::Param(name) => {
                let params = self.request.params.iter().filter(|(key, _)| key == name);
                one(params.map(|(_, value)| value))?.as_bytes().into()
            }
            ValueLocation::Body(_) => self.request.body[..].into(),
            ValueLocation::Claim(pointer) => {
                let claims = self.claims.get().ok_or(Absent::Missing)?;
                match value_at(claims, pointer).ok_or(Absent::Missing)? {
                    Value::String(text) => text.into_bytes().into(),
                    Value::Number(number) if numbers && (!number.is_f64() || is_exact(&number)) => {
                        number.to_string().into_bytes().into()
                    }
                    _ => return Err(Absent::Missing),
                }
            }
            ValueLocation::Each(_) => return Err(Absent::Missing),
        };
        if found.is_empty() {
            return Err(Absent::Missing);
        }

        Ok(found)
    }

    /// The text at a location, for a fact about the event, such as its identity. A number is its
    /// text as sent, so that two numbers whose texts differ are two values. A number without
    /// a known text has none: a parsed number with a fraction or an exponent may be rounded.
    pub(crate) fn fact(&self, place: &ValueLocation) -> Option<String> {
        if let Ok(found) = self.find(place, false) {
            return String::from_utf8(found.into_owned()).ok();
        }

        match place {
            ValueLocation::Json(pointer) => match self.json_at(pointer).ok()? {
                JsonValue::Scalar(Value::Number(number)) if number.is_f64() => {
                    raw_json::text_at(self.json_text()?, pointer).map(str::to_owned)
                }
                JsonValue::Scalar(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            },
            // The texts of claims are not kept. A whole number of 64 bits has only one.
            ValueLocation::Claim(pointer) => match value_at(self.claims.get()?, pointer)? {
                Value::Number(number) if !number.is_f64() => Some(number.to_string()),
                _ => None,
            },
            _ => None,
        }
    }

    /// The single value of a header.
    pub(crate) fn header(&self, name: &str) -> Result<&[u8], Absent> {
        one(self.request.headers.get_all(name).iter()).map(|value| value.as_bytes().trim_ascii())
    }

    /// Whether a header occurs more than once.
    pub(crate) fn is_repeated(&self, place: &ValueLocation) -> bool {
        matches!(place, ValueLocation::Header(name) if self.request.headers.get_all(name.as_str()).iter().nth(1).is_some())
    }

    /// Decoded values of a query parameter. Values that are not UTF-8 are left out, because
    /// different bytes would become the same text.
    pub(crate) fn query(&self, name: &str) -> impl Iterator<Item = String> {
        let pairs = url::form_urlencoded::parse(
            self.request.query.as_deref().unwrap_or_default().as_bytes(),
        );
        pairs
            .filter(move |(key, value)| key == name && is_text(value))
            .map(|(_, value)| value.into_owned())
    }

    /// The path segment after the last slash.
    pub(crate) fn last_segment(&self) -> &str {
        self.request.path.rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn path_and_query(&self) -> String {
        match &self.request.query {
            Some(query) => format!("{}?{query}", self.request.path),
            None => self.request.path.clone(),
        }
    }

    pub(crate) fn url(&self) -> Result<String, Refusal> {
        let public_url = self.public_url.ok_or_else(|| {
            Refusal::new(
                Reason::NoSecret,
                "public_url is not set: this provider signs the URL that it calls",
            )
        })?;

        match (public_url, &self.request.query) {
            (PublicUrl::Base(base), _) => Ok(format!("{base}{}", self.path_and_query())),
            (PublicUrl::Whole(url), None) => Ok(url.clone()),
            (PublicUrl::Whole(url), Some(query)) => match own_query(url) {
                None => Ok(format!("{url}?{query}")),
                Some(own) if own == *query => Ok(url.clone()),
                // The event would contain a parameter that is not signed.
                Some(_) => {
                    let why = "the query of the request is not that of `url`, which is signed";
                    Err(Refusal::new(Reason::SignatureMismatch, why))
                }
            },
        }
    }

    /// Path and query of the called URL; those of the request if no public URL is configured.
    pub(crate) fn called_path_and_query(&self) -> String {
        let Ok(url) = self.url() else {
            return self.path_and_query();
        };

        let authority = url.find("://").map_or(0, |at| at + 3);
        let rest = url[authority..]
            .find(['/', '?'])
            .map_or("", |at| &url[authority + at..]);
        if rest.starts_with('/') {
            rest.to_owned()
        } else {
            format!("/{rest}")
        }
    }
}

fn own_query(url: &str) -> Option<String> {
    url.split_once('?').map(|(_, query)| query.to_owned())
}

fn is_text(value: &str) -> bool {
    !value.contains(char::REPLACEMENT_CHARACTER)
}

/// The media type as sent, without parameters.
fn content_essence<'v>(view: &'v View<'_>) -> Option<&'v str> {
    let content_type = std::str::from_utf8(view.header("content-type").ok()?).ok()?;
    Some(content_type.split(';').next()?.trim())
}

/// Whether JSON is small enough to be parsed. Counts objects and values without parsing.
pub(crate) fn is_readable(body: &[u8]) -> bool {
    if body.len() > PARSED_BYTES_MAX {
        return false;
    }

    // Braces and commas within texts are counted here too, so this is at most too strict.
    if body.len() <= OBJECTS_MAX
        || (count(b'{', body) <= OBJECTS_MAX && count(b',', body) + count(b'[', body) <= VALUES_MAX)
    {
        return true;
    }

    let (mut objects, mut values) = (0, 0);
    let (mut in_text, mut is_escaped) = (false, false);
    for byte in body {
        match (in_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{') => objects += 1,
            (false, b',' | b'[') => values += 1,
            _ => {}
        }
    }

    objects <= OBJECTS_MAX && values <= VALUES_MAX
}

fn count(byte: u8, body: &[u8]) -> usize {
    memchr::memchr_iter(byte, body).count()
}

/// The value at a JSON pointer. A string on the path that contains JSON is parsed.
fn value_at(value: &Value, pointer: &str) -> Option<Value> {
    let mut at = value.clone();
    for segment in pointer.split('/').skip(1) {
        if let Value::String(text) = &at {
            at = serde_json::from_str(text).ok()?;
        }

        at = at.pointer(&format!("/{segment}"))?.clone();
    }

    Some(at)
}

fn is_exact(number: &serde_json::Number) -> bool {
    number.as_f64().is_some_and(|value| value.abs() < EXACT_MAX)
}

/// The name of a location for the operator, such as `header X-Signature`.
pub(crate) fn describe(place: &ValueLocation) -> String {
    match place {
        ValueLocation::Header(name) => format!("header {name}"),
        ValueLocation::Query(name) => format!("query parameter {name}"),
        ValueLocation::Json(pointer) | ValueLocation::Each(pointer) => format!("JSON {pointer}"),
        ValueLocation::Form(name) => format!("form field {name}"),
        ValueLocation::Path(which) => format!("{which} segment of the path"),
        ValueLocation::Param(name) => format!("path parameter {name}"),
        ValueLocation::Body(_) => "body".to_owned(),
        ValueLocation::Claim(pointer) => format!("claim {pointer}"),
    }
}

fn one<T>(mut values: impl Iterator<Item = T>) -> Result<T, Absent> {
    let first = values.next().ok_or(Absent::Missing)?;
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Absent::Duplicate),
    }
}
