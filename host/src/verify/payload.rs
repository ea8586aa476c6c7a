//! Payload templates: what is signed, piece by piece.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::refusal::{Reason, Refusal};
use super::view::View;
use crate::model::{ConfigValue, Place};

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
    At(Place),
    /// Every pair of a form, sorted by name, name and value joined.
    FormSorted,
}

/// Values that the signature carries along.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signed<'a> {
    /// As sent.
    pub timestamp: &'a [u8],
    /// As sent.
    pub id: &'a [u8],
}

// === impl Part ===

impl Part {
    /// Whether it can be told before the body has come.
    pub fn is_of_the_head(&self) -> bool {
        match self {
            Part::Body | Part::FormSorted => false,
            Part::At(place) => matches!(place, Place::Header(_) | Place::Query(_) | Place::Path(_)),
            _ => true,
        }
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
            Part::At(place) => view.find(place, true).map_err(|_| {
                let detail = format!("{} is signed and not there", super::view::describe(place));
                Refusal::new(Reason::MalformedBody, detail)
            })?,
            Part::FormSorted => form_sorted(view)?.into_bytes().into(),
        })
    }
}

/// Reads the pieces of a template: an element in braces is a token, any other is literal text.
pub fn parse(template: &[String], config: &BTreeMap<String, ConfigValue>) -> Result<Vec<Part>, String> {
    template.iter().map(|piece| part(piece, config)).collect()
}

fn part(piece: &str, config: &BTreeMap<String, ConfigValue>) -> Result<Part, String> {
    let Some(token) = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
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
            other => return Err(unknown(other)),
        },
        Some(("json", pointer)) if pointer.starts_with('/') => Part::At(Place::Json(pointer.into())),
        Some(("header", name)) => Part::At(Place::Header(name.into())),
        Some(("query", name)) => Part::At(Place::Query(name.into())),
        Some(("form", name)) => Part::At(Place::Form(name.into())),
        Some(("config", name)) => Part::Literal(configured(name, config)?.to_owned()),
        _ => return Err(unknown(token)),
    })
}

/// The one value of the operator.
pub fn configured<'a>(name: &str, config: &'a BTreeMap<String, ConfigValue>) -> Result<&'a str, String> {
    match config.get(name).map(ConfigValue::texts) {
        Some([one]) => Ok(one),
        Some(_) => Err(format!("config.{name} must be one text")),
        None => Err(format!("this scheme needs a value of yours: write config = {{ {name} = \"…\" }}")),
    }
}

fn unknown(token: &str) -> String {
    format!(
        "unknown token `{{{token}}}`: known are body, timestamp, id, method, url, url_unescaped, secret, form_sorted, \
         json:/POINTER, header:NAME, query:NAME, form:NAME, config.NAME"
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
        url.replace(escape, plain).replace(&escape.to_ascii_lowercase(), plain)
    })
}

fn form_sorted(view: &View<'_>) -> Result<String, Refusal> {
    let mut pairs: Vec<_> = view.needed_form()?.iter().collect();
    pairs.sort();
    Ok(pairs.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect())
}
