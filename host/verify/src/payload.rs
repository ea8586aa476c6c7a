//! Payload templates: what is signed, piece by piece.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::algorithm::{sha256, sha256_hex};
use crate::refusal::{Reason, Refusal};
use crate::view::{Absent, View, describe};
use landfall_model::{ConfigValue, PayloadPiece, ValueLocation};

/// The most characters of a value that goes into a MAC.
const TOKEN_CHARS_MAX: usize = 128;

/// One piece of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Constant text, or a value of the operator.
    Literal(String),
    /// Every byte of the body.
    Body,
    /// The signed time as sent.
    Timestamp,
    /// The delivery id as sent.
    Id,
    /// The method, upper case.
    Method,
    /// The URL that the sender called: `public_url`, path and query.
    Url,
    /// The same, with the escapes of `: / ? @ ! $ ' ( ) * , ;` undone.
    UrlUnescaped,
    /// The secret itself.
    Secret,
    /// A value elsewhere in the request.
    At(ValueLocation),
    /// A query parameter in lower case.
    QueryLower(String),
    /// The value of another label of the signature's list.
    Label(String),
    /// SHA-256 of the body, in lower-case hex.
    BodySha256Hex,
    /// SHA-256 of the body, in base64.
    BodySha256Base64,
    /// The body as a JSON string, with its quotes.
    BodyJsonString,
    /// Every pair of a form, sorted by name, name and value joined.
    FormSorted,
    /// Parts that drop out together where a value in them is absent.
    Optional(Vec<Part>),
}

/// Values that the signature carries along.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signed<'a> {
    /// As sent.
    pub timestamp: &'a [u8],
    /// As sent.
    pub id: &'a [u8],
    /// Labels of the list that are signed, and their values.
    pub labels: &'a [(String, String)],
}

// === impl Part ===

impl Part {
    /// Whether it can be told before the body has come.
    pub fn is_of_the_head(&self) -> bool {
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

    /// Whether it is always there and comes from the request.
    pub fn is_of_the_request(&self) -> bool {
        !matches!(self, Part::Literal(_) | Part::Secret | Part::Optional(_))
    }

    /// Its bytes. `key` is the secret of this try.
    pub fn bytes<'a>(
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
            Part::UrlUnescaped => unescaped(&view.url()?).into_bytes().into(),
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

/// Parts that are there together or not at all. A value that holds the text behind it is refused: a sender could choose where
/// one value ends and the next begins.
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
                "a signed value holds the text that ends it",
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
        format!("{what} is signed and not there"),
    )
}

/// Reads the pieces of a template: an element in braces is a token, any other is literal text.
pub fn parse(
    template: &[PayloadPiece],
    config: &BTreeMap<String, ConfigValue>,
) -> Result<Vec<Part>, String> {
    let read = |piece: &PayloadPiece| match piece {
        PayloadPiece::One(text) => part(text, config),
        PayloadPiece::Optional(texts) => {
            let parts: Vec<Part> = texts
                .iter()
                .map(|text| part(text, config))
                .collect::<Result<_, _>>()?;
            if parts
                .iter()
                .any(|part| matches!(part, Part::At(_) | Part::QueryLower(_)))
            {
                Ok(Part::Optional(parts))
            } else {
                Err("a list in payload drops out where a value is absent: it needs a {query:NAME} or the like"
                        .into())
            }
        }
    };

    template.iter().map(read).collect()
}

/// Reads one piece that is not a list.
pub fn part(piece: &str, config: &BTreeMap<String, ConfigValue>) -> Result<Part, String> {
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
            other => return Err(unknown(other)),
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
        _ => return Err(unknown(token)),
    })
}

/// The one value of the operator.
pub fn configured<'a>(
    name: &str,
    config: &'a BTreeMap<String, ConfigValue>,
) -> Result<&'a str, String> {
    match config.get(name).map(ConfigValue::texts) {
        Some([one]) => Ok(one),
        Some(_) => Err(format!("config.{name} must be one text")),
        None => Err(format!(
            "this scheme needs a value of yours: write config = {{ {name} = \"…\" }}"
        )),
    }
}

/// A text with every `{config.NAME}` in it replaced by the operator's value.
pub fn configured_text(
    text: &str,
    config: &BTreeMap<String, ConfigValue>,
) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{config.") {
        let (name, after) = after.split_once('}').ok_or("`{config.` without its `}`")?;
        filled.push_str(before);
        filled.push_str(configured(name, config)?);
        rest = after;
    }

    filled.push_str(rest);
    Ok(filled)
}

fn unknown(token: &str) -> String {
    format!(
        "unknown token `{{{token}}}`: known are body, timestamp, id, method, url, url_unescaped, secret, form_sorted, \
         body_sha256_hex, body_sha256_base64, body_json_string, json:/POINTER, header:NAME, query:NAME, query_lower:NAME, \
         form:NAME, list:LABEL, config.NAME"
    )
}

/// HubSpot's rule: only these escapes are undone.
fn unescaped(url: &str) -> String {
    const UNDONE: [(&str, &str); 12] = [
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

    UNDONE.iter().fold(url.to_owned(), |url, (escape, plain)| {
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

/// Short, and of base64 or base64url characters: what may be signed for whoever asks, and so may not be a delivery.
pub fn is_token(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
    !text.is_empty() && text.len() <= TOKEN_CHARS_MAX && text.iter().all(is_plain)
}
