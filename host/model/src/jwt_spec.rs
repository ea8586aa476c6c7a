//! Rules for JSON web tokens, as data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::signature_spec::{Encoding, span};

/// Rules for a JSON web token.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSpec {
    /// Accepted `alg` values: HS256, HS384, HS512 with a secret; RS256, ES256 with public keys.
    pub algorithms: Option<Vec<String>>,
    /// URL of the key set (RFC 7517), which may contain `{config.NAME}`. `None`: the secrets are
    /// the keys.
    pub jwks: Option<String>,
    /// The API that returns a key by its id. The request contains the hook's secret.
    pub lookup: Option<LookupSpec>,
    /// Claims and their allowed values: a text, a list of texts or a boolean. Texts may contain
    /// `{config.NAME}`.
    #[serde(default)]
    pub claims: BTreeMap<String, ClaimValue>,
    /// Tolerance for `nbf` and `exp`.
    #[serde(default, deserialize_with = "span")]
    pub leeway: Option<Duration>,
    /// Requires `iat`, and that it is no older than this.
    #[serde(default, deserialize_with = "span")]
    pub max_age: Option<Duration>,
    /// The prefix may be absent.
    pub prefix_optional: Option<bool>,
    /// The claim with the SHA-256 of the body.
    pub body_hash: Option<String>,
    /// The encoding of `body_hash`. `None`: hex.
    pub body_hash_encoding: Option<Encoding>,
    /// The claim with the body itself, as text.
    pub body_claim: Option<String>,
    /// `body_hash` may be absent if the body is empty.
    pub body_hash_if_body: Option<bool>,
    /// The claim with the SHA-256 of the URL, in hex.
    pub url_hash: Option<String>,
    /// `exp` may be absent.
    pub no_expiry: Option<bool>,
    /// The claim with the query string hash of Atlassian Connect: SHA-256 of method, path and
    /// sorted query, in hex.
    pub query_string_hash: Option<String>,
    /// For a detached signature: the header parameter with the signed time in seconds, to which
    /// `max_age` applies.
    pub header_time: Option<String>,
}

/// The API of a provider that returns one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupSpec {
    /// URL of the POST request, which may contain `{config.NAME}`.
    pub url: Option<String>,
    /// The members of the JSON request body: text, `{config.NAME}`, `{secret}` or `{kid}`.
    #[serde(default)]
    pub body: BTreeMap<String, String>,
    /// JSON pointer (RFC 6901) to the JSON web key in the response.
    pub key: Option<String>,
}

/// The allowed values of a claim.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ClaimValue {
    /// This boolean.
    Truth(bool),
    /// This text.
    One(String),
    /// Any of these texts.
    Any(Vec<String>),
}
