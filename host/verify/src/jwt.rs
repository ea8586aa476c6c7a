//! Scheme `jwt`: JSON web tokens (RFC 7519) in their compact form, with a pinned list of
//! algorithms.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::algorithm::{is_token_signed, is_web_signed, mac, same, same_text, sha256, sha256_hex};
use crate::certificate::web_key;
use crate::keys::Keys;
use crate::lookup::Lookup;
use crate::refusal::{Reason, Refusal, malformed};
use crate::view::{Absent, View, describe, is_readable};
use crate::window::{self, Window};
use landfall_model::{Algorithm, Documents, Encoding, TimeUnit, ValueLocation};

/// How far `iat` may lie in the future, for clock skew.
const IAT_AHEAD_MAX: Duration = Duration::from_secs(60);
/// Everything except the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The rules for tokens of one hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    pub(crate) from: ValueLocation,
    /// Text before the token, such as `Bearer `.
    pub(crate) prefix: String,
    /// Accepted `alg` values.
    pub(crate) algorithms: Vec<String>,
    /// The URL of the key set; `None` if the hook's secrets are the keys.
    pub(crate) jwks: Option<String>,
    /// How to request a single key from the provider.
    pub(crate) lookup: Option<Lookup>,
    /// Required claims and their allowed values.
    pub(crate) claims: Vec<(String, Vec<Value>)>,
    /// Tolerance for `nbf` and `exp`.
    pub(crate) leeway: Duration,
    /// The maximum age by `iat`.
    pub(crate) max_age: Option<Duration>,
    /// Whether `exp` is required.
    pub(crate) needs_expiry: bool,
    /// Whether a token without `prefix` is accepted too.
    pub(crate) is_prefix_optional: bool,
    /// The claim with the SHA-256 of the body, and whether it may be missing for an empty body.
    pub(crate) body_hash: Option<(String, bool)>,
    /// The encoding of that digest.
    pub(crate) body_hash_encoding: Encoding,
    /// The claim with the body itself.
    pub(crate) body_claim: Option<String>,
    /// The claim with the SHA-256 of the URL.
    pub(crate) url_hash: Option<String>,
    /// The claim with the query string hash of Atlassian Connect.
    pub(crate) query_string_hash: Option<String>,
    /// The path of the app's base URL. It is removed from the path before hashing.
    pub(crate) base_path: String,
}

/// A parsed token.
pub(crate) struct Token<'a> {
    pub(crate) signed: &'a str,
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signature: Vec<u8>,
}

// === impl Jwt ===

impl Jwt {
    /// Checks the token. Returns the index of the secret that signed it; `None` if the key came
    /// from a key set.
    pub(crate) fn check(
        &self,
        view: &View<'_>,
        keys: &Keys,
        documents: &dyn Documents,
        now: Option<SystemTime>,
    ) -> Result<Option<usize>, Refusal> {
        let text = view
            .find(&self.from, false)
            .map_err(|absent| match absent {
                Absent::Duplicate => Refusal::new(
                    Reason::DuplicateHeader,
                    format!("{} given more than once", describe(&self.from)),
                ),
                _ => Refusal::new(
                    Reason::MissingSignature,
                    format!("token missing ({})", describe(&self.from)),
                ),
            })?;

        let text = std::str::from_utf8(&text).map_err(|_| malformed("not text"))?;
        let token = Token::parse(self.without_prefix(text)?)?;
        let matched = self.check_signature(&token, keys, documents)?;
        if let Some(now) = now {
            self.check_times(&token.claims, now)?;
        }

        self.check_claims(&token.claims)?;
        self.check_hashes(&token.claims, view)?;
        view.keep_claims(token.claims);

        Ok(matched)
    }

    /// Whether the token covers the body, or is the body.
    pub(crate) fn covers_body(&self) -> bool {
        self.body_hash.is_some()
            || self.body_claim.is_some()
            || matches!(self.from, ValueLocation::Body(_))
    }

    fn without_prefix<'a>(&self, text: &'a str) -> Result<&'a str, Refusal> {
        match text.split_at_checked(self.prefix.len()) {
            Some((word, rest)) if word.eq_ignore_ascii_case(&self.prefix) => Ok(rest.trim()),
            _ if self.is_prefix_optional => Ok(text),
            _ => Err(malformed(format!(
                "the token does not begin with `{}`",
                self.prefix
            ))),
        }
    }

    fn check_signature(
        &self,
        token: &Token<'_>,
        keys: &Keys,
        documents: &dyn Documents,
    ) -> Result<Option<usize>, Refusal> {
        if token.header.contains_key("crit") {
            return Err(malformed(
                "the token has critical extensions, and none is known",
            ));
        }

        let algorithm = token
            .header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !self.algorithms.iter().any(|known| known == algorithm) {
            let detail = format!(
                "alg is `{}`: accepted are {}",
                algorithm.escape_debug(),
                self.algorithms.join(", ")
            );

            return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
        }

        let (signed, signature) = (token.signed.as_bytes(), &token.signature);
        let kid = token.header.get("kid").and_then(Value::as_str);
        if let Some(lookup) = &self.lookup {
            let key = lookup.find(documents, kid)?;
            return if is_web_signed(&key, algorithm, signed, signature) {
                Ok(None)
            } else {
                Err(mismatch())
            };
        }

        if let Some(url) = &self.jwks {
            let document = documents.get(url).ok_or_else(|| Refusal::needs(url))?;
            let key = web_key(&document, kid).ok_or_else(|| Refusal {
                detail: format!(
                    "no key `{}` in {url}",
                    kid.unwrap_or_default().escape_debug()
                ),
                ..Refusal::needs(url)
            })?;

            if is_web_signed(&key, algorithm, signed, signature) {
                return Ok(None);
            }

            // A token without a key id: the issuer may have rotated its only key, so the set is
            // fetched again.
            return Err(Refusal {
                fetch: kid.is_none().then(|| url.clone()),
                ..mismatch()
            });
        }

        let algorithm = match algorithm {
            "HS256" => Algorithm::HmacSha256,
            "HS384" => Algorithm::HmacSha384,
            "HS512" => Algorithm::HmacSha512,
            // The secrets are public keys: the builder rejects HS… algorithms for them.
            public => {
                return keys
                    .find(|_, key| Ok(is_token_signed(key, public, signed, signature)))?
                    .ok_or_else(mismatch)
                    .map(Some);
            }
        };

        keys.find(|_, key| Ok(same(&mac(algorithm, key, signed), signature)))?
            .ok_or_else(mismatch)
            .map(Some)
    }

    fn check_times(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<(), Refusal> {
        let leeway = Some(self.leeway);

        match time_claim(claims, "exp")? {
            Some(until) => window::check_time(
                Window {
                    past: leeway,
                    future: None,
                },
                until,
                now,
            )?,
            None if self.needs_expiry => return Err(missing_time("exp")),
            None => {}
        }

        if let Some(from) = time_claim(claims, "nbf")? {
            window::check_time(
                Window {
                    past: None,
                    future: leeway,
                },
                from,
                now,
            )?;
        }

        match (time_claim(claims, "iat")?, self.max_age) {
            (Some(made), Some(_)) => window::check_time(
                Window {
                    past: self.max_age,
                    future: Some(IAT_AHEAD_MAX),
                },
                made,
                now,
            ),
            (None, Some(_)) => Err(missing_time("iat")),
            _ => Ok(()),
        }
    }

    fn check_claims(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        for (name, allowed) in &self.claims {
            let holds = match claims.get(name) {
                // `aud` may be a list (RFC 7519 section 4.1.3).
                Some(Value::Array(values)) if name == "aud" => {
                    values.iter().any(|value| allowed.contains(value))
                }
                Some(value) => allowed.contains(value),
                None => false,
            };
            if !holds {
                let reason = match name.as_str() {
                    "iss" => Reason::IssuerMismatch,
                    "aud" => Reason::AudienceMismatch,
                    _ => Reason::SubjectMismatch,
                };

                return Err(Refusal::new(
                    reason,
                    format!("claim {name} is not what was configured"),
                ));
            }
        }

        Ok(())
    }

    fn check_hashes(&self, claims: &Map<String, Value>, view: &View<'_>) -> Result<(), Refusal> {
        if let Some(name) = &self.url_hash {
            let given = text_claim(claims, name)
                .unwrap_or_default()
                .to_ascii_lowercase();
            if !same_text(
                given.as_bytes(),
                sha256_hex(view.url()?.as_bytes()).as_bytes(),
            ) {
                return Err(Refusal::new(
                    Reason::UrlHashMismatch,
                    format!("claim {name} is the digest of another URL"),
                ));
            }
        }

        if let Some(name) = &self.query_string_hash {
            let given = text_claim(claims, name)
                .unwrap_or_default()
                .to_ascii_lowercase();
            if !same_text(
                given.as_bytes(),
                query_string_hash(view, &self.base_path).as_bytes(),
            ) {
                return Err(Refusal::new(
                    Reason::UrlHashMismatch,
                    format!("claim {name} is the hash of another method, path or query"),
                ));
            }
        }

        if let Some((name, only_with_body)) = &self.body_hash {
            let body = &view.request.body;
            let right = written(self.body_hash_encoding, &sha256(body));

            // Hexadecimal digits are case-insensitive, base64 is not.
            let given = text_claim(claims, name).map(|given| match self.body_hash_encoding {
                Encoding::Hex => given.to_ascii_lowercase(),
                Encoding::Base64 | Encoding::Base64url => given.to_owned(),
            });

            match given {
                None if *only_with_body && body.is_empty() => {}
                None => {
                    return Err(Refusal::new(
                        Reason::BodyHashMissing,
                        format!("claim {name} is missing"),
                    ));
                }
                Some(given) if same_text(given.as_bytes(), right.as_bytes()) => {}
                Some(_) => {
                    return Err(Refusal::new(
                        Reason::BodyHashMismatch,
                        format!("claim {name} is the digest of another body"),
                    ));
                }
            }
        }

        if let Some(name) = &self.body_claim {
            let given = text_claim(claims, name).ok_or_else(|| {
                Refusal::new(Reason::BodyHashMissing, format!("claim {name} is missing"))
            })?;
            if !same_text(given.as_bytes(), &view.request.body) {
                return Err(Refusal::new(
                    Reason::BodyHashMismatch,
                    format!("claim {name} holds another body"),
                ));
            }
        }

        Ok(())
    }
}

fn mismatch() -> Refusal {
    Refusal::new(
        Reason::SignatureMismatch,
        "the token was made with another key",
    )
}

fn text_claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// A claim that is a time, in nanoseconds since 1970.
fn time_claim(claims: &Map<String, Value>, name: &str) -> Result<Option<i128>, Refusal> {
    let seconds = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number
            .as_u64()
            .or_else(|| number.as_f64().map(|seconds| seconds as u64)),
        Some(_) => None,
    };

    match seconds {
        Some(seconds) => window::parse(TimeUnit::S, seconds.to_string().as_bytes()).map(Some),
        None => Err(Refusal::new(
            Reason::MalformedTimestamp,
            format!("claim {name} is not a time"),
        )),
    }
}

fn missing_time(name: &str) -> Refusal {
    Refusal::new(Reason::MissingTimestamp, format!("claim {name} is missing"))
}

/// A digest in the encoding of the claim.
pub(crate) fn written(encoding: Encoding, digest: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(digest),
        Encoding::Base64 => STANDARD.encode(digest),
        Encoding::Base64url => URL_SAFE_NO_PAD.encode(digest),
    }
}

/// SHA-256 in hex over method, path and sorted query, in Atlassian Connect's canonical form.
/// Source: developer.atlassian.com/cloud/bitbucket/query-string-hash and atlassian-jwt
/// (`lib/jwt.js`).
pub(crate) fn query_string_hash(view: &View<'_>, base_path: &str) -> String {
    let path = &view.request.path;
    let path = path
        .strip_prefix(base_path)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        .unwrap_or(path);

    let path = match path.strip_suffix('/').unwrap_or(path) {
        "" => "/".to_owned(),
        path => path.replace('&', "%26"),
    };

    // The token itself may be in the query, as `jwt`.
    let query = view.request.query.as_deref().unwrap_or_default();
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "jwt")
    {
        fields
            .entry(name.into_owned())
            .or_default()
            .push(value.into_owned());
    }

    let pairs = fields.iter_mut().map(|(name, values)| {
        values.sort();
        format!(
            "{}={}",
            escape(name),
            values
                .iter()
                .map(|value| escape(value))
                .collect::<Vec<_>>()
                .join(",")
        )
    });

    let query = pairs.collect::<Vec<_>>().join("&");
    sha256_hex(format!("{}&{path}&{query}", view.request.method).as_bytes())
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

// === impl Token ===

impl Token<'_> {
    pub(crate) fn parse(text: &str) -> Result<Token<'_>, Refusal> {
        let (signed, signature) = text
            .rsplit_once('.')
            .ok_or_else(|| malformed("a token has three parts"))?;
        let (header, claims) = signed
            .split_once('.')
            .ok_or_else(|| malformed("a token has three parts"))?;

        Ok(Token {
            signed,
            header: decode_object(header)?,
            claims: decode_object(claims)?,
            signature: decode(signature)?,
        })
    }
}

fn decode_object(part: &str) -> Result<Map<String, Value>, Refusal> {
    let json = decode(part)?;
    match is_readable(&json).then(|| serde_json::from_slice(&json)) {
        Some(Ok(Value::Object(object))) => Ok(object),
        _ => Err(malformed(
            "a part of the token is not a JSON object, or it exceeds the limits of a check",
        )),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| malformed("not base64url"))
}
