//! How a signature is computed, where it is and what it covers, as data.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::value_location::ValueLocation;

/// One piece of the signed text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "text, a token such as \"{body}\", or a list of them that may be absent as a whole"
)]
pub enum PayloadPiece {
    /// Literal text, or a token in braces.
    One(String),
    /// Pieces that are left out together if a value in them is absent.
    Optional(Vec<String>),
}

/// The public keys of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySetSpec {
    /// URL of a JSON web key set (RFC 7517), which may contain `{config.NAME}`.
    pub url: Option<String>,
    /// Where the request names the key. `None`: every key of the set is tried.
    pub id: Option<ValueLocation>,
}

/// How a header is split into several signatures: `t=1,v1=abc` has separator `,` and assign `=`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListSpec {
    /// The text between entries.
    pub separator: Option<String>,
    /// The text between label and value. `None`: no entry has a label.
    pub assign: Option<String>,
    /// Labels of signatures; entries with other labels are skipped. `None`: every entry except the
    /// time is a signature without a label.
    pub labels: Option<Vec<String>>,
    /// The label of the signed time.
    pub timestamp: Option<String>,
    /// The first entry is the signed time and has no label.
    pub timestamp_first: Option<bool>,
}

/// The signed time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSpec {
    /// Its place in the request. `None`: it is an entry of the signature's list.
    pub from: Option<ValueLocation>,
    /// Its format.
    pub unit: Option<TimeUnit>,
    /// The greatest age. `None`: any age.
    #[serde(default, deserialize_with = "span")]
    pub past: Option<Duration>,
    /// How far it may be in the future. `None`: as far as `past`.
    #[serde(default, deserialize_with = "span")]
    pub future: Option<Duration>,
}

/// The format of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Unix seconds.
    S,
    /// Unix milliseconds.
    Ms,
    /// RFC 3339.
    Rfc3339,
    /// RFC 3339; a time without an offset is read as UTC.
    Iso8601,
    /// RFC 9110 section 5.6.7, with or without the comma.
    HttpDate,
}

/// How a signature is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC with MD5: only for providers that offer nothing better.
    HmacMd5,
    /// HMAC (RFC 2104) with SHA-1: only for providers that offer nothing better.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// SHA-1 of a concatenation that contains the secret: only for providers that offer nothing
    /// better.
    Sha1,
    /// SHA-256 of a concatenation that contains the secret.
    Sha256,
    /// Keccak-256 (the one of Ethereum, not SHA3-256) of a concatenation that contains the secret.
    Keccak256,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-256 with SHA-256, DER (RFC 3279).
    EcdsaP256Sha256,
    /// RSA PKCS#1 v1.5 with SHA-256 (RFC 8017).
    #[serde(rename = "rsa-pkcs1v15-sha256", alias = "rsa-v1_5-sha256")]
    RsaPkcs1v15Sha256,
    /// RSA-PSS with SHA-512 and a salt of 64 bytes (RFC 8017).
    RsaPssSha512,
}

/// The encoding of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Upper or lower case.
    Hex,
    /// Standard alphabet, padded, canonical (RFC 4648 section 4).
    Base64,
    /// URL alphabet, padding optional, canonical (RFC 4648 section 5).
    Base64url,
}

/// How the text of a secret becomes the bytes of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyForm {
    /// The text itself.
    #[default]
    Utf8,
    /// Hexadecimal digits.
    Hex,
    /// Base64, padding optional.
    Base64,
    /// `whsec_` and base64 (Standard Webhooks); the prefix is optional.
    Whsec,
    /// As `whsec` if the prefix is present, otherwise the text itself.
    WhsecOrText,
    /// SHA-1 of the text.
    Sha1,
    /// `-----BEGIN PUBLIC KEY-----`.
    Pem,
    /// A public key (SubjectPublicKeyInfo, DER) in base64.
    SpkiBase64,
    /// An Ed25519 public key in hex.
    Ed25519Hex,
    /// `whpk_` and an Ed25519 public key in base64 (Standard Webhooks).
    Whpk,
}

/// Rules for HTTP message signatures (RFC 9421).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageSignatureSpec {
    /// Components that a signature must cover, such as `@method`. `None`: method, target, and
    /// `content-digest` if there is a body.
    pub components: Option<Vec<String>>,
    /// The label of the signature to check. `None`: any signature.
    pub label: Option<String>,
    /// The required `tag`.
    pub tag: Option<String>,
    /// The `keyid` of each secret, in their order. Empty: any secret may match.
    #[serde(default)]
    pub key_ids: Vec<String>,
}

// === impl PayloadPiece ===

impl PayloadPiece {
    /// The texts of this piece.
    pub fn texts(&self) -> &[String] {
        match self {
            PayloadPiece::One(text) => std::slice::from_ref(text),
            PayloadPiece::Optional(texts) => texts,
        }
    }
}

impl From<&str> for PayloadPiece {
    fn from(text: &str) -> PayloadPiece {
        PayloadPiece::One(text.to_owned())
    }
}

/// A duration with its unit, such as `"5m"`; for `deserialize_with`.
pub fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(|_| {
        D::Error::custom(format!(
            "`{text}` is not a time: write it with its unit, such as \"5m\""
        ))
    })
}
