//! Templates of answers to ownership checks: literal text, and values of the request that are
//! echoed or go into a MAC.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::ChallengeError;
use crate::algorithm::{mac, sha256_hex};
use crate::keys::Keys;
use crate::payload::{configured, is_token};
use crate::refusal::{Reason, Refusal};
use crate::view::{View, describe};
use landfall_model::{Algorithm, ConfigValue, ValueLocation};

/// The longest value that is echoed.
const ECHO_BYTES_MAX: usize = 1024;

pub(super) type Template = Vec<Piece>;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum JsonTemplate {
    Constant(Value),
    Text(Template),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Literal(String),
    Echo(Source),
    Mac(Algorithm, bool, Source),
    /// SHA-256 in hex over a token of the request, the secret for ownership checks and the called
    /// URL. `None` means the URL of the request, without its query.
    Digest(Source, Option<String>),
    /// The requested rate, at most `config.max_rate`; `*` if neither is set.
    Rate(Option<u64>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source(pub(super) ValueLocation);

/// Why an ownership check is refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// The check does not meet a requirement of the rule.
    Requirement(Refusal),
    /// A value is too long or must not be signed.
    Value(String),
}

// === impl Source ===

impl Source {
    /// Whether the value is in the head of the request.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(self.0, ValueLocation::Header(_) | ValueLocation::Query(_))
    }

    /// Whether the body must be read for the value.
    pub(super) fn is_in_body(&self) -> bool {
        !self.is_in_head()
    }

    pub(super) fn text(&self, view: &View<'_>) -> Result<String, Refused> {
        let bytes = view
            .find(&self.0, false)
            .map_err(|_| self.wrong("is missing or given twice"))?;
        let text = String::from_utf8(bytes.into_owned()).map_err(|_| self.wrong("is not UTF-8"))?;
        if text.len() > ECHO_BYTES_MAX {
            return Err(self.wrong("is longer than 1 KiB"));
        }

        Ok(text)
    }

    /// A value that may go into a MAC: a short token that cannot be mistaken for a delivery.
    fn token(&self, view: &View<'_>) -> Result<String, Refused> {
        let text = self.text(view)?;
        if is_token(text.as_bytes()) {
            Ok(text)
        } else {
            Err(self.wrong("is not a token"))
        }
    }

    fn wrong(&self, what: &str) -> Refused {
        Refused::Value(format!(
            "the ownership check's value at {} {what}",
            describe(&self.0)
        ))
    }
}

pub(super) fn fill(template: &Template, view: &View<'_>, keys: &Keys) -> Result<String, Refused> {
    let mut filled = String::new();
    for piece in template {
        match piece {
            Piece::Literal(text) => filled.push_str(text),
            Piece::Echo(source) => filled.push_str(&source.text(view)?),
            Piece::Mac(algorithm, is_hex, source) => {
                let token = source.token(view)?;
                let key = keys
                    .iter()
                    .flatten()
                    .find(|key| !key.is_empty())
                    .ok_or_else(no_key)?;

                let digest = mac(*algorithm, key, token.as_bytes());
                filled.push_str(&if *is_hex {
                    hex::encode(digest)
                } else {
                    STANDARD.encode(digest)
                });
            }
            Piece::Digest(source, endpoint) => {
                let token = source.token(view)?;
                let secret = keys.challenge_key().ok_or_else(no_key)?;
                let endpoint = match endpoint {
                    Some(endpoint) => endpoint.clone(),
                    None => called_endpoint(view).ok_or_else(no_url)?,
                };
                filled.push_str(&sha256_hex(
                    &[token.as_bytes(), secret, endpoint.as_bytes()].concat(),
                ));
            }
            Piece::Rate(max) => {
                let asked = view.header("webhook-request-rate").ok();
                let asked =
                    asked.and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
                let rate = [asked, *max].into_iter().flatten().min();
                filled.push_str(&rate.map_or_else(|| "*".to_owned(), |rate| rate.to_string()));
            }
        }
    }

    Ok(filled)
}

/// The URL of the request, without its query.
fn called_endpoint(view: &View<'_>) -> Option<String> {
    let url = view.url().ok()?;
    url.split('?').next().map(str::to_owned)
}

pub(super) fn template(
    text: &str,
    config: &BTreeMap<String, ConfigValue>,
) -> Result<Template, ChallengeError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        let (token, after) = after.split_once('}').ok_or(ChallengeError::Unclosed)?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }

        pieces.push(piece(token, config)?);
        rest = after;
    }

    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.into()));
    }

    Ok(pieces)
}

fn piece(token: &str, config: &BTreeMap<String, ConfigValue>) -> Result<Piece, ChallengeError> {
    if token == "rate" {
        let max = config
            .get("max_rate")
            .and_then(|value| value.texts().first()?.parse().ok());
        return Ok(Piece::Rate(max));
    }

    if let Some(name) = token.strip_prefix("config.") {
        return Ok(Piece::Literal(configured(name, config)?.into()));
    }

    let Some((mac, place)) = token.split_once(' ') else {
        return source(token).map(Piece::Echo);
    };

    if mac == "sha256-hex" {
        let place = place.strip_suffix(" challenge_secret endpoint");
        let place = place.ok_or(ChallengeError::Digest)?;
        let endpoint = config
            .get("endpoint")
            .and_then(|value| value.texts().first().cloned());

        return Ok(Piece::Digest(source(place)?, endpoint));
    }

    let (algorithm, is_hex) = match mac {
        "hmac-sha1-hex" => (Algorithm::HmacSha1, true),
        "hmac-sha256-hex" => (Algorithm::HmacSha256, true),
        "hmac-sha256-base64" => (Algorithm::HmacSha256, false),
        other => {
            return Err(ChallengeError::UnknownMac(other.to_owned()));
        }
    };

    Ok(Piece::Mac(algorithm, is_hex, source(place)?))
}

pub(super) fn source(text: &str) -> Result<Source, ChallengeError> {
    let place = match text.split_once(':') {
        Some(("query", name)) => ValueLocation::Query(name.into()),
        Some(("header", name)) => ValueLocation::Header(name.into()),
        Some(("form", name)) => ValueLocation::Form(name.into()),
        Some(("json", pointer)) if pointer.starts_with('/') => ValueLocation::Json(pointer.into()),
        None if text.starts_with('/') => ValueLocation::Json(text.into()),
        _ => return Err(ChallengeError::NoValue(text.to_owned())),
    };

    Ok(Source(place))
}

fn no_key() -> Refused {
    let why = "the ownership check needs a secret, and none has a value now";
    Refused::Requirement(Refusal::new(Reason::NoSecret, why))
}

fn no_url() -> Refused {
    let why =
        "the ownership check needs the URL of the endpoint: set public_url, or config.endpoint";
    Refused::Requirement(Refusal::new(Reason::ChallengeRefused, why))
}
