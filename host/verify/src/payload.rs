//! Payload templates: the parts of the signed text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::algorithm::{sha256, sha256_hex};
use crate::refusal::{Reason, Refusal};
use crate::view::{Absent, View, describe};
use landfall_model::{ConfigValue, PayloadPiece, ValueLocation};

const HUBSPOT_ESCAPES: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

/// The longest value of an ownership check that goes into a MAC.
const TOKEN_CHARS_MAX: usize = 128;

/// One part of the signed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Constant text, or a configured value.
    Literal(String),
    /// The raw body.
    Body,
    Timestamp,
    Id,
    /// The method in upper case.
    Method,
    /// The called URL: `public_url`, path and query.
    Url,
    /// The called URL with the escapes of `: / ? @ ! $ ' ( ) * , ;` decoded.
    UrlUnescaped,
    Secret,
    /// A value of the request.
    At(ValueLocation),
    QueryLower(String),
    /// The value of a label in the signature list.
    Label(String),
    /// SHA-256 of the body, in lower-case hex.
    BodySha256Hex,
    /// SHA-256 of the body, in base64.
    BodySha256Base64,
    /// The body as a JSON string, with quotes.
    BodyJsonString,
    /// Every pair of the form body, sorted by name; name and value are concatenated.
    FormSorted,
    /// Parts that are left out together if a value in them is missing.
    Optional(Vec<Part>),
}

/// Why a payload template cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum TemplateError {
    /// The token, without its braces.
    #[error(
        "unknown token `{{{0}}}`: known are body, timestamp, id, method, url, url_unescaped, \
         secret, form_sorted, body_sha256_hex, body_sha256_base64, body_json_string, \
         json:/POINTER, header:NAME, query:NAME, query_lower:NAME, form:NAME, list:LABEL, \
         config.NAME"
    )]
    UnknownToken(String),
    #[error(
        "a list in payload drops out where a value is absent: it needs a {{query:NAME}} or the like"
    )]
    NeverAbsent,
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why the value of `config` that a text names cannot be inserted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ConfigError {
    #[error("config.{0} must be one text")]
    Many(String),
    #[error("this scheme needs a value of yours: write config = {{ {0} = \"…\" }}")]
    Missing(String),
    #[error("`{{config.` without its `}}`")]
    Unclosed,
}

/// Values that come with the signature.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Signed<'a> {
    pub(crate) timestamp: &'a [u8],
    pub(crate) id: &'a [u8],
    /// Signed labels of the list, and their values.
    pub(crate) labels: &'a [(String, String)],
}

// === impl Part ===

impl Part {
    /// Whether the part is known before the body arrives.
    pub(crate) fn is_of_the_head(&self) -> bool {
        match self {
            Part::Body
            | Part::BodySha256Hex
            | Part::BodySha256Base64
            | Part::BodyJsonString
            | Part::FormSorted => false,
            Part::At(place) => matches!(
                place,
                ValueLocation::Header(_) | ValueLocation::Query(_) | ValueLocation::Path(_)
            ),
            Part::Optional(parts) => parts.iter().all(Part::is_of_the_head),
            Part::Literal(_)
            | Part::Timestamp
            | Part::Id
            | Part::Method
            | Part::Url
            | Part::UrlUnescaped
            | Part::Secret
            | Part::QueryLower(_)
            | Part::Label(_) => true,
        }
    }

    /// Whether the part covers the whole body.
    pub(crate) fn is_of_the_body(&self) -> bool {
        matches!(
            self,
            Part::Body
                | Part::BodySha256Hex
                | Part::BodySha256Base64
                | Part::BodyJsonString
                | Part::FormSorted
        )
    }

    /// Whether the part is always present and comes from the request.
    pub(crate) fn is_of_the_request(&self) -> bool {
        !matches!(self, Part::Literal(_) | Part::Secret | Part::Optional(_))
    }

    /// The bytes of the part. `key` is the secret that is being tried.
    pub(crate) fn bytes<'a>(
        &'a self,
        view: &'a View<'_>,
        signed: Signed<'a>,
        key: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, Refusal> {
        Ok(match self {
            Part::Literal(text) => text.as_bytes().into(),
            Part::Body => view.request.body[..].into(),
            Part::Timestamp => signed.timestamp.into(),
            Part::Id => signed.id.into(),
            Part::Method => view.request.method.as_str().as_bytes().into(),
            Part::Url => view.url()?.into_bytes().into(),
            Part::UrlUnescaped => unescape(&view.url()?).into_bytes().into(),
            Part::Secret => key.into(),
            Part::At(place) => view
                .find(place, true)
                .map_err(|_| not_there(&describe(place)))?,
            Part::QueryLower(name) => lower(view, name)
                .map_err(|_| not_there(&format!("query parameter {name}")))?
                .into(),
            Part::Label(label) => {
                let found = signed.labels.iter().find(|(name, _)| name == label);
                found
                    .ok_or_else(|| not_there(&format!("`{label}` of the list")))?
                    .1
                    .as_bytes()
                    .into()
            }
            Part::BodySha256Hex => sha256_hex(&view.request.body).into_bytes().into(),
            Part::BodySha256Base64 => STANDARD
                .encode(sha256(&view.request.body))
                .into_bytes()
                .into(),
            Part::BodyJsonString => {
                let text = std::str::from_utf8(&view.request.body).map_err(|_| {
                    Refusal::new(Reason::MalformedBody, "the body is not UTF-8 text")
                })?;

                serde_json::Value::from(text)
                    .to_string()
                    .into_bytes()
                    .into()
            }
            Part::Optional(parts) => optional(parts, view, signed, key)?.into(),
            Part::FormSorted => form_sorted(view)?.into_bytes().into(),
        })
    }
}

/// Concatenates optional parts, or returns nothing if one value is missing. A value that contains
/// the literal text after it is refused: the sender could choose where the value ends.
fn optional(
    parts: &[Part],
    view: &View<'_>,
    signed: Signed<'_>,
    key: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let mut joined = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let absent = match part {
            Part::At(place) => view.find(place, true).err(),
            Part::QueryLower(name) => lower(view, name).err(),
            _ => None,
        };

        match absent {
            Some(Absent::Duplicate) => {
                return Err(Refusal::new(
                    Reason::DuplicateHeader,
                    "a signed value is given more than once",
                ));
            }
            Some(_) => return Ok(Vec::new()),
            None => {}
        }

        let bytes = part.bytes(view, signed, key)?;
        if let Some(Part::Literal(end)) = parts.get(at + 1)
            && part.is_of_the_request()
            && memchr::memmem::find(&bytes, end.as_bytes()).is_some()
        {
            return Err(Refusal::new(
                Reason::SignatureMismatch,
                "a signed value contains the text that ends it",
            ));
        }

        joined.extend_from_slice(&bytes);
    }

    Ok(joined)
}

fn lower(view: &View<'_>, name: &str) -> Result<Vec<u8>, Absent> {
    view.find(&ValueLocation::Query(name.to_owned()), true)
        .map(|value| value.to_ascii_lowercase())
}

fn not_there(what: &str) -> Refusal {
    Refusal::new(
        Reason::MalformedBody,
        format!("{what} is signed but missing"),
    )
}

/// Parses a template. An element in braces is a token, every other element is literal text.
pub(crate) fn parse(
    template: &[PayloadPiece],
    config: &BTreeMap<String, ConfigValue>,
) -> Result<Vec<Part>, TemplateError> {
    let parts = template.iter().map(|piece| match piece {
        PayloadPiece::One(text) => part(text, config),
        PayloadPiece::Optional(texts) => optional_parts(texts, config),
    });

    parts.collect()
}

fn optional_parts(
    texts: &[String],
    config: &BTreeMap<String, ConfigValue>,
) -> Result<Part, TemplateError> {
    let parts: Vec<Part> = texts
        .iter()
        .map(|text| part(text, config))
        .collect::<Result<_, _>>()?;

    let may_be_absent = parts
        .iter()
        .any(|part| matches!(part, Part::At(_) | Part::QueryLower(_)));
    if may_be_absent {
        Ok(Part::Optional(parts))
    } else {
        Err(TemplateError::NeverAbsent)
    }
}

/// Parses one element that is not a list.
pub(crate) fn part(
    piece: &str,
    config: &BTreeMap<String, ConfigValue>,
) -> Result<Part, TemplateError> {
    let Some(token) = piece
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        return Ok(Part::Literal(piece.into()));
    };

    Ok(match token.split_once([':', '.']) {
        None => match token {
            "body" => Part::Body,
            "timestamp" => Part::Timestamp,
            "id" => Part::Id,
            "method" => Part::Method,
            "url" => Part::Url,
            "url_unescaped" => Part::UrlUnescaped,
            "secret" => Part::Secret,
            "form_sorted" => Part::FormSorted,
            "body_sha256_hex" => Part::BodySha256Hex,
            "body_sha256_base64" => Part::BodySha256Base64,
            "body_json_string" => Part::BodyJsonString,
            other => return Err(TemplateError::UnknownToken(other.to_owned())),
        },
        Some(("json", pointer)) if pointer.starts_with('/') => {
            Part::At(ValueLocation::Json(pointer.into()))
        }
        Some(("header", name)) => Part::At(ValueLocation::Header(name.into())),
        Some(("query", name)) => Part::At(ValueLocation::Query(name.into())),
        Some(("query_lower", name)) if !name.is_empty() => Part::QueryLower(name.into()),
        Some(("list", label)) if !label.is_empty() => Part::Label(label.into()),
        Some(("form", name)) => Part::At(ValueLocation::Form(name.into())),
        Some(("config", name)) => Part::Literal(configured(name, config)?.to_owned()),
        _ => return Err(TemplateError::UnknownToken(token.to_owned())),
    })
}

/// The single configured value with this name.
pub(crate) fn configured<'a>(
    name: &str,
    config: &'a BTreeMap<String, ConfigValue>,
) -> Result<&'a str, ConfigError> {
    match config.get(name).map(ConfigValue::texts) {
        Some([one]) => Ok(one),
        Some(_) => Err(ConfigError::Many(name.to_owned())),
        None => Err(ConfigError::Missing(name.to_owned())),
    }
}

/// Replaces every `{config.NAME}` in `text` by the configured value.
pub(crate) fn configured_text(
    text: &str,
    config: &BTreeMap<String, ConfigValue>,
) -> Result<String, ConfigError> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{config.") {
        let (name, after) = after.split_once('}').ok_or(ConfigError::Unclosed)?;
        filled.push_str(before);
        filled.push_str(configured(name, config)?);
        rest = after;
    }

    filled.push_str(rest);
    Ok(filled)
}

/// Decodes the escapes that HubSpot decodes.
fn unescape(url: &str) -> String {
    HUBSPOT_ESCAPES
        .iter()
        .fold(url.to_owned(), |url, (escape, plain)| {
            url.replace(escape, plain)
                .replace(&escape.to_ascii_lowercase(), plain)
        })
}

fn form_sorted(view: &View<'_>) -> Result<String, Refusal> {
    let mut pairs: Vec<_> = view.needed_form()?.iter().collect();
    pairs.sort();
    Ok(pairs
        .iter()
        .flat_map(|(name, value)| [name.as_str(), value.as_str()])
        .collect())
}

/// Whether a text is short and has only base64 or base64url characters. The answer to an ownership
/// check may sign such a text for any caller, so it is never accepted as a delivery.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.len() <= TOKEN_CHARS_MAX && text.iter().all(is_plain)
}

fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte)
}
