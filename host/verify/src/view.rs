//! A request under examination: what is read from it is parsed once, when it is first asked for.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use bytes::Bytes;
use serde_json::Value;

use crate::multipart;
use crate::refusal::{Reason, Refusal};
use crate::request::Unverified;
use crate::unique_json;
use landfall_model::ValueLocation;

/// The largest body that is parsed as JSON or as a form for a check.
const PARSED_BYTES_MAX: usize = 8 << 20;

/// An object takes a hundred times its text in memory, and whoever sends it has proven nothing yet.
const OBJECTS_MAX: usize = 20_000;
const VALUES_MAX: usize = 400_000;
/// Of a form.
const PAIRS_MAX: usize = 10_000;

/// A request and what has been parsed of it.
pub struct View<'a> {
    /// As it came.
    pub request: &'a Unverified,
    /// What the operator says of the URL that the sender called.
    pub public_url: Option<&'a PublicUrl>,
    /// The field of a form body that holds the JSON document.
    json_field: Option<&'a str>,
    /// JSON in which an object has a key twice is refused.
    is_strict: bool,
    /// The body is still encoded: nothing can be read from it.
    is_encoded: bool,
    wants_content: Cell<bool>,
    /// Of a JSON web token that has been verified.
    claims: OnceCell<Value>,
    json: OnceCell<Option<Value>>,
    form: OnceCell<Option<Vec<(String, String)>>>,
    fields: OnceCell<Option<Vec<(String, String)>>>,
}

/// The two kinds of form bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Urlencoded,
    Multipart,
}

/// What the operator says of the URL that senders call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicUrl {
    /// What comes before the path of the request, without a slash at the end.
    Base(String),
    /// The whole URL; the query of the request follows. With a query of its own, the request has none, or the same.
    Whole(String),
}

/// Why there is no one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// None.
    Missing,
    /// More than one.
    Duplicate,
    /// Not there, because the body is not JSON.
    NoJson,
}

// === impl View ===

impl<'a> View<'a> {
    pub fn new(request: &'a Unverified, public_url: Option<&'a PublicUrl>) -> View<'a> {
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
            form,
            fields,
        }
    }

    /// Of a request whose body is still encoded.
    pub fn encoded(self) -> View<'a> {
        View {
            is_encoded: true,
            ..self
        }
    }

    /// Whether a value inside an encoded body was asked for. What has been concluded from its absence is void.
    pub fn wants_content(&self) -> bool {
        self.wants_content.get()
    }

    /// What the body says; none while it is encoded.
    fn content(&self) -> Option<&'a Bytes> {
        if self.is_encoded {
            self.wants_content.set(true);
            return None;
        }

        Some(self.request.content())
    }

    /// For signatures that leave parts of the body open: JSON in which an object has a key twice is read as none, since who reads
    /// the event may take the value that is not signed.
    pub fn strict(self, is_strict: bool) -> View<'a> {
        View { is_strict, ..self }
    }

    /// With the field that holds the JSON document, where the body is a form.
    pub fn with_json_field(self, json_field: Option<&'a str>) -> View<'a> {
        View { json_field, ..self }
    }

    /// The JSON document, which is the body or a field of it: none where it is no JSON, or is larger or of more parts than a check
    /// reads.
    pub fn json(&self) -> Option<&Value> {
        let parse = |text: &[u8]| match self.is_strict {
            _ if !is_readable(text) => None,
            true => unique_json::parse(text),
            false => serde_json::from_slice(text).ok(),
        };

        let read = || match self.json_field.filter(|_| self.form_kind().is_some()) {
            Some(field) => parse(self.field(field).ok()?.as_bytes()),
            None => parse(self.content()?),
        };

        self.json.get_or_init(read).as_ref()
    }

    /// The form field that holds the JSON document of this request; none where the body itself is the document.
    pub fn json_field(&self) -> Option<&'a str> {
        self.json_field
            .filter(|_| self.form_kind().is_some() && self.json().is_some())
    }

    /// Whether the content type says that the body is a form of pairs.
    pub fn is_urlencoded(&self) -> bool {
        self.form_kind() == Some(Form::Urlencoded)
    }

    fn form_kind(&self) -> Option<Form> {
        match content_essence(self)?.as_str() {
            "application/x-www-form-urlencoded" => Some(Form::Urlencoded),
            "multipart/form-data" => Some(Form::Multipart),
            _ => None,
        }
    }

    /// The text fields of a form of either kind; files are left out.
    fn fields(&self) -> Option<&[(String, String)]> {
        if self.form_kind() != Some(Form::Multipart) {
            return self.form();
        }

        let read = || {
            let content_type = std::str::from_utf8(self.header("content-type").ok()?).ok()?;
            let body = self.content()?;
            if body.len() <= PARSED_BYTES_MAX {
                multipart::text_fields(content_type, body)
            } else {
                None
            }
        };

        self.fields.get_or_init(read).as_deref()
    }

    /// The one value of a form field.
    fn field(&self, name: &str) -> Result<&str, Absent> {
        let fields = self.fields().unwrap_or_default();
        one(fields
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str()))
    }

    /// The claims of the verified token.
    pub fn claims(&self) -> Option<&Value> {
        self.claims.get()
    }

    /// Keeps the claims of the verified token, for what is read from them.
    pub fn keep_claims(&self, claims: serde_json::Map<String, Value>) {
        // A second token of one request does not exist.
        let _ = self.claims.set(Value::Object(claims));
    }

    /// The body as the pairs of a form, decoded, in their order: none where it is not UTF-8, or is larger than a check reads.
    pub fn form(&self) -> Option<&[(String, String)]> {
        let parse = || {
            let body = self.content()?;
            let is_small = body.len() <= PARSED_BYTES_MAX
                && memchr::memchr_iter(b'&', body).count() <= PAIRS_MAX;
            let is_text = is_small && percent_encoding::percent_decode(body).decode_utf8().is_ok();

            is_text.then(|| url::form_urlencoded::parse(body).into_owned().collect())
        };

        self.form.get_or_init(parse).as_deref()
    }

    /// The same, or why not.
    pub fn needed_form(&self) -> Result<&[(String, String)], Refusal> {
        self.form().ok_or_else(|| {
            Refusal::new(
                Reason::MalformedBody,
                "the body is no form of UTF-8 texts, or too large",
            )
        })
    }

    /// The one value at a place, optional white space around a header value dropped and nothing else. An empty value is
    /// missing. A JSON number counts as its text where `numbers` says so.
    pub fn find(&self, place: &ValueLocation, numbers: bool) -> Result<Cow<'_, [u8]>, Absent> {
        let found: Cow<'_, [u8]> = match place {
            ValueLocation::Header(name) => self.header(name)?.into(),
            ValueLocation::Query(name) => one(self.query(name))?.into_bytes().into(),
            ValueLocation::Json(pointer) => {
                match self.json().ok_or(Absent::NoJson)?.pointer(pointer) {
                    Some(Value::String(text)) => text.as_bytes().into(),
                    // A number that was rounded when it was read is not what was sent.
                    Some(Value::Number(number))
                        if numbers && (!number.is_f64() || is_exact(number)) =>
                    {
                        number.to_string().into_bytes().into()
                    }
                    _ => return Err(Absent::Missing),
                }
            }
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
                match entered(claims, pointer).ok_or(Absent::Missing)? {
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

    /// The one value of a header.
    pub fn header(&self, name: &str) -> Result<&[u8], Absent> {
        one(self.request.headers.get_all(name).iter()).map(|value| value.as_bytes().trim_ascii())
    }

    /// Whether a header is there more than once.
    pub fn is_repeated(&self, place: &ValueLocation) -> bool {
        matches!(place, ValueLocation::Header(name) if self.request.headers.get_all(name.as_str()).iter().nth(1).is_some())
    }

    /// Decoded values of a query parameter. A value that is not UTF-8 is none: different bytes would become the same text.
    pub fn query(&self, name: &str) -> impl Iterator<Item = String> {
        let pairs = url::form_urlencoded::parse(
            self.request.query.as_deref().unwrap_or_default().as_bytes(),
        );
        let is_text = |value: &str| !value.contains(char::REPLACEMENT_CHARACTER);

        pairs
            .filter(move |(key, value)| key == name && is_text(value))
            .map(|(_, value)| value.into_owned())
    }

    /// What follows the last slash of the path.
    pub fn last_segment(&self) -> &str {
        self.request.path.rsplit('/').next().unwrap_or_default()
    }

    /// Path and query as sent.
    pub fn path_and_query(&self) -> String {
        match &self.request.query {
            Some(query) => format!("{}?{query}", self.request.path),
            None => self.request.path.clone(),
        }
    }

    /// The URL that the sender called.
    pub fn url(&self) -> Result<String, Refusal> {
        let public_url = self.public_url.ok_or_else(|| {
            Refusal::new(
                Reason::NoSecret,
                "public_url is not set: this provider signs the URL that it calls",
            )
        })?;

        let own_query = |url: &str| url.split_once('?').map(|(_, query)| query.to_owned());
        match (public_url, &self.request.query) {
            (PublicUrl::Base(base), _) => Ok(format!("{base}{}", self.path_and_query())),
            (PublicUrl::Whole(url), None) => Ok(url.clone()),
            (PublicUrl::Whole(url), Some(query)) => match own_query(url) {
                None => Ok(format!("{url}?{query}")),
                Some(own) if own == *query => Ok(url.clone()),
                // A parameter that is not in the signed URL would be passed on as verified.
                Some(_) => {
                    let why = "the query of the request is not that of `url`, which is signed";
                    Err(Refusal::new(Reason::SignatureMismatch, why))
                }
            },
        }
    }

    /// Path and query of that URL; those of the request where the operator says nothing of it.
    pub fn called_path_and_query(&self) -> String {
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

/// The media type, without parameters, in lower case.
fn content_essence(view: &View<'_>) -> Option<String> {
    let content_type = std::str::from_utf8(view.header("content-type").ok()?).ok()?;
    Some(content_type.split(';').next()?.trim().to_ascii_lowercase())
}

/// Whether JSON is small enough to be parsed: objects and values are counted outside of texts.
pub fn is_readable(body: &[u8]) -> bool {
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

    body.len() <= PARSED_BYTES_MAX && objects <= OBJECTS_MAX && values <= VALUES_MAX
}

/// The value at a JSON pointer; on the way, a text that holds JSON is entered.
fn entered(value: &Value, pointer: &str) -> Option<Value> {
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
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

    number.as_f64().is_some_and(|value| value.abs() < EXACT_MAX)
}

/// `header X-Signature`, for the operator.
pub fn describe(place: &ValueLocation) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_loses_only_the_named_parameter() {
        assert_eq!(
            without_query(Some("a=1&token=x&b=%20"), "token").as_deref(),
            Some("a=1&b=%20")
        );

        assert_eq!(
            without_query(Some("a=1&t%6fken=x"), "token").as_deref(),
            Some("a=1")
        );

        assert_eq!(without_query(Some("token=x"), "token"), None);
        assert_eq!(without_query(None, "token"), None);
    }
}
