//! How a sender proves itself, as data: what a `[verify]` table and a provider pack both say.

use serde::Deserialize;

use super::secret::SecretRef;

/// A `[verify]` table as typed; a pack holds the same without secrets. `verify` turns both into a checked verifier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifySpec {
    /// A provider pack; its fields are the defaults of all others here.
    pub provider: Option<String>,
    /// The kind of proof; none and no provider = the hook is closed.
    pub scheme: Option<Scheme>,
    /// Where the secrets are; any of them may match.
    #[serde(default, deserialize_with = "one_or_many")]
    pub secret: Vec<SecretRef>,
    /// Where the token or signature is.
    pub from: Option<Place>,
    /// Constant text before the token or signature, such as `Bearer ` or `sha256=`.
    pub prefix: Option<String>,
    /// Of a signature.
    pub algorithm: Option<Algorithm>,
    /// Of a signature's bytes.
    pub encoding: Option<Encoding>,
    /// Ownership checks to answer instead of running the component.
    pub challenge: Option<Vec<Challenge>>,
}

/// The kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// A shared secret sent as it is.
    Token,
    /// HTTP basic authentication (RFC 7617); the secret is `user:password`.
    Basic,
    /// A MAC over the raw body.
    Signature,
    /// Everybody is let in; only ever by explicit choice.
    None,
}

/// A place in a request that holds one value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A header, by name.
    Header(String),
    /// A query parameter, by name.
    Query(String),
    /// A string in the JSON body, by JSON pointer (RFC 6901).
    Json(String),
}

/// How a signature is computed over the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC (RFC 2104) with SHA-1: only where the provider has nothing better.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// How a signature's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Upper or lower case.
    Hex,
    /// Standard alphabet, padded, canonical (RFC 4648 section 4).
    Base64,
}

/// One ownership check: when a request is one, and what to answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// JSON pointer to the string that is sent back; its last segment is the key in the answer.
    pub echo: String,
    /// The body is a JSON object that has no keys but these; empty = any keys.
    #[serde(default)]
    pub only_keys: Vec<String>,
    /// JSON pointer and the string that must be there, for providers that name the kind of request.
    #[serde(default)]
    pub equals: Vec<(String, String)>,
    /// Answer only after the request has proven itself. On unless the provider sends its check unsigned.
    #[serde(default = "yes")]
    pub verify_first: bool,
}

fn yes() -> bool {
    true
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretRef>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a secret reference such as \"env:NAME\", or a list of them")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let texts = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    };
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}
