//! How a sender proves itself, as data: what a `[verify]` table and a provider pack both say. `verify` turns it into a
//! checked verifier; docs/VERIFY.md describes every field.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::Error;

use super::challenge::ChallengeSpec;
use super::secret::SecretRef;

/// A `[verify]` table as typed; a pack holds the same without secrets.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifySpec {
    /// A provider pack; its fields are the defaults of all others here.
    pub provider: Option<String>,
    /// The kind of proof; none and no provider = the hook is closed.
    pub scheme: Option<Scheme>,
    /// Where the secrets are; any of them may match.
    #[serde(default, deserialize_with = "secrets")]
    pub secret: Vec<SecretRef>,
    /// Secrets that only ownership checks show; none = those of `secret`.
    #[serde(default, deserialize_with = "secrets")]
    pub challenge_secret: Vec<SecretRef>,
    /// How the text of a secret becomes the bytes of a key.
    pub key: Option<KeyForm>,
    /// Where the token, signature or JWT is; several for numbered headers.
    #[serde(default, deserialize_with = "places")]
    pub from: Option<Vec<ValueLocation>>,
    /// Constant text before the token or signature, such as `Bearer ` or `sha256=`.
    pub prefix: Option<String>,
    /// A header that carries several labelled signatures.
    pub list: Option<ListSpec>,
    /// Of a signature.
    pub algorithm: Option<Algorithm>,
    /// Of a signature's bytes.
    pub encoding: Option<Encoding>,
    /// Method names that may stand before a signature, as in `sha256=…`: each is the HMAC with that digest. Instead of
    /// `algorithm` and `prefix`.
    pub methods: Option<Vec<String>>,
    /// Public keys of the provider at an address, instead of `secret`.
    pub key_set: Option<KeySetSpec>,
    /// What is signed: literal text and `{tokens}`, joined.
    pub payload: Option<Vec<PayloadPiece>>,
    /// Other texts that count as well, each written like `payload`.
    pub payload_alternatives: Option<Vec<Vec<PayloadPiece>>>,
    /// The signed time and its window.
    pub timestamp: Option<TimeSpec>,
    /// The signed id of the delivery.
    pub id: Option<ValueLocation>,
    /// Headers that must have exactly this value.
    pub require: Option<BTreeMap<String, String>>,
    /// Scheme, host and, where a proxy takes one away, path prefix that senders call: never taken from the request.
    pub public_url: Option<String>,
    /// The whole URL that senders call, instead of `public_url`: for proxies that replace the path.
    pub url: Option<String>,
    /// Values of the operator that the scheme names: `{config.NAME}`.
    #[serde(default)]
    pub config: BTreeMap<String, ConfigValue>,
    /// Rules for a JSON web token.
    pub jwt: Option<JwtSpec>,
    /// Rules for HTTP message signatures.
    pub message_signature: Option<MessageSignatureSpec>,
    /// Ownership checks to answer instead of running the component.
    pub challenge: Option<Vec<ChallengeSpec>>,
    /// Status of the answer to a request that has not proven itself.
    pub refused_status: Option<u16>,
    /// Where requests may come from; none = from anywhere.
    pub from_addresses: Option<FromAddresses>,
}

/// Which clients may call, by their address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAddresses {
    /// Those in the ranges that the provider publishes; the pack lists them.
    Provider,
    /// Those in these ranges.
    Ranges(Vec<IpNet>),
}

/// The kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// A shared secret sent as it is.
    Token,
    /// HTTP basic authentication (RFC 7617); the secret is `user:password`.
    Basic,
    /// A MAC or a public-key signature over a payload template.
    Signature,
    /// A JSON web token (RFC 7519).
    Jwt,
    /// Everybody is let in; only ever by explicit choice.
    None,
    /// URL and sorted form, or URL and a body digest in the query.
    Twilio,
    /// Fields of the JSON body, key in a certificate by address.
    AwsSns,
    /// Transmission fields and a checksum of the body, key in a certificate by address.
    Paypal,
    /// Each item of a batch signed by itself.
    Adyen,
    /// A form field, key id and digest in another.
    Braintree,
    /// A canonical request with headers of the sender's choice.
    Contentful,
    /// A JSON document in a multipart field, time and type signed.
    DropboxSign,
    /// Two signatures with keys by path.
    AdobeIo,
    /// A JSON web signature with its certificates, pinned to Apple's root.
    AppleAppStore,
    /// ECDSA over the body, with a key by its id from an API.
    Ebay,
    /// URL, sorted query and form, and a nonce.
    Plivo,
    /// Lines of the request that the signature lists (draft-cavage-http-signatures).
    Keygen,
    /// A JSON web signature without its payload, which is the body as sent (RFC 7797).
    DetachedJws,
    /// HTTP message signatures (RFC 9421).
    HttpMessageSignatures,
}

/// A place in a request that holds one value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueLocation {
    /// A header, by name.
    Header(String),
    /// A query parameter, by name.
    Query(String),
    /// A string in the JSON body, by JSON pointer (RFC 6901).
    Json(String),
    /// The same string at every element of an array: `/value/*/clientState`.
    Each(String),
    /// A field of a form body (`application/x-www-form-urlencoded`).
    Form(String),
    /// A segment of the path; only `last`.
    Path(String),
    /// A `{NAME}` segment of the hook's path.
    Param(String),
    /// The body itself; only `whole`.
    Body(String),
    /// A claim of the token that was verified, by JSON pointer; a text that holds JSON is entered. Only for `event_type`,
    /// `delivery_id` and `order_by`.
    Claim(String),
}

/// One piece of what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "text, a token such as \"{body}\", or a list of them that may be absent as a whole"
)]
pub enum PayloadPiece {
    /// Literal text, or a token in braces.
    One(String),
    /// Pieces that drop out together where a value in them is absent.
    Optional(Vec<String>),
}

/// Where the public keys of a provider are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySetSpec {
    /// The address of a JSON web key set (RFC 7517); `{config.NAME}` for the operator's.
    pub url: Option<String>,
    /// Where the request names the key; none = every key of the set is tried.
    pub id: Option<ValueLocation>,
}

/// How a header is split into several signatures: `t=1,v1=abc` has separator `,` and assign `=`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListSpec {
    /// Between entries.
    pub separator: Option<String>,
    /// Between label and value; none = no entry has a label.
    pub assign: Option<String>,
    /// Labels that count; others are skipped. None = every entry but the time is a signature without a label.
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
    /// Where it is; none where the signature's list holds it.
    pub from: Option<ValueLocation>,
    /// How it is written.
    pub unit: Option<TimeUnit>,
    /// How old it may be; none = any age.
    #[serde(default, deserialize_with = "span")]
    pub past: Option<Duration>,
    /// How far ahead it may be; none = as far as `past`.
    #[serde(default, deserialize_with = "span")]
    pub future: Option<Duration>,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Unix seconds.
    S,
    /// Unix milliseconds.
    Ms,
    /// RFC 3339.
    Rfc3339,
    /// RFC 3339, and the same without an offset, which is read as UTC.
    Iso8601,
    /// RFC 9110 section 5.6.7, with or without the comma.
    HttpDate,
}

/// How a signature is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC with MD5: only where the provider has nothing better.
    HmacMd5,
    /// HMAC (RFC 2104) with SHA-1: only where the provider has nothing better.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// SHA-1 of a concatenation that holds the secret: only where the provider has nothing better.
    Sha1,
    /// SHA-256 of a concatenation that holds the secret.
    Sha256,
    /// Keccak-256 (the one of Ethereum, not SHA3-256) of a concatenation that holds the secret.
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

/// How a signature's bytes are written.
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
    /// As `whsec` where the prefix is there, else the text itself.
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

/// Rules for a JSON web token.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSpec {
    /// `alg` values that are taken: HS256, HS384, HS512 with a secret; RS256, ES256 with public keys.
    pub algorithms: Option<Vec<String>>,
    /// Where the keys are (RFC 7517); none = the secrets are the keys. `{config.NAME}` for the operator's.
    pub jwks: Option<String>,
    /// Where a key is handed out for its id; the hook's secret goes into the question.
    pub lookup: Option<LookupSpec>,
    /// Claims and the values they may have: text, a list of texts, a truth value; `{config.NAME}` for the operator's.
    #[serde(default)]
    pub claims: BTreeMap<String, ClaimValue>,
    /// For `nbf` and `exp`.
    #[serde(default, deserialize_with = "span")]
    pub leeway: Option<Duration>,
    /// `iat` is there and no older than this.
    #[serde(default, deserialize_with = "span")]
    pub max_age: Option<Duration>,
    /// The prefix may be left out.
    pub prefix_optional: Option<bool>,
    /// The claim with the SHA-256 of the body.
    pub body_hash: Option<String>,
    /// How `body_hash` is written; none = hex.
    pub body_hash_encoding: Option<Encoding>,
    /// The claim with the body itself, as text.
    pub body_claim: Option<String>,
    /// `body_hash` may be absent where there is no body.
    pub body_hash_if_body: Option<bool>,
    /// The claim with the SHA-256 of the URL, in hex.
    pub url_hash: Option<String>,
    /// `exp` need not be there.
    pub no_expiry: Option<bool>,
    /// The claim with the query string hash of Atlassian Connect: SHA-256 of method, path and sorted query, in hex.
    pub query_string_hash: Option<String>,
    /// Of a detached signature: the header parameter with the signed time in seconds, which `max_age` judges.
    pub header_time: Option<String>,
}

/// Rules for HTTP message signatures (RFC 9421).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageSignatureSpec {
    /// Components that a signature must cover, such as `@method`; none = method, target, and `content-digest` of a body.
    pub components: Option<Vec<String>>,
    /// The only signature that counts; none = any of them.
    pub label: Option<String>,
    /// The `tag` that it must have.
    pub tag: Option<String>,
    /// The `keyid` of each secret, in their order; empty = any secret may match.
    #[serde(default)]
    pub key_ids: Vec<String>,
}

/// How a provider is asked for one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupSpec {
    /// Asked by POST; `{config.NAME}` for the operator's.
    pub url: Option<String>,
    /// The members of the JSON object that is sent: text, `{config.NAME}`, `{secret}` or `{kid}`.
    #[serde(default)]
    pub body: BTreeMap<String, String>,
    /// JSON pointer (RFC 6901) to the JSON web key in the answer.
    pub key: Option<String>,
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ClaimValue {
    /// Exactly this.
    Truth(bool),
    /// Exactly this.
    One(String),
    /// Any of these.
    Any(Vec<String>),
}

/// A value of the operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ConfigValue {
    /// Text.
    One(String),
    /// Several texts.
    Many(Vec<String>),
}

// === impl ConfigValue ===

impl ConfigValue {
    /// Every text.
    pub fn texts(&self) -> &[String] {
        match self {
            ConfigValue::One(text) => std::slice::from_ref(text),
            ConfigValue::Many(texts) => texts,
        }
    }
}

impl<'de> Deserialize<'de> for FromAddresses {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<FromAddresses, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a list of address ranges such as [\"192.0.2.0/24\"], or \"provider\""
        )]
        enum Typed {
            Word(String),
            Ranges(Vec<String>),
        }
        match Typed::deserialize(deserializer)? {
            Typed::Word(word) if word == "provider" => Ok(FromAddresses::Provider),
            Typed::Word(word) => Ok(FromAddresses::Ranges(vec![
                address_range(&word).map_err(D::Error::custom)?,
            ])),
            Typed::Ranges(texts) if texts.is_empty() => Err(D::Error::custom(
                "an empty list would refuse every caller: write a range, or leave from_addresses out",
            )),
            Typed::Ranges(texts) => {
                let ranges: Result<_, String> =
                    texts.iter().map(|text| address_range(text)).collect();
                Ok(FromAddresses::Ranges(ranges.map_err(D::Error::custom)?))
            }
        }
    }
}

// === impl PayloadPiece ===

impl PayloadPiece {
    /// Every text of it.
    pub fn texts(&self) -> &[String] {
        match self {
            PayloadPiece::One(text) => std::slice::from_ref(text),
            PayloadPiece::Optional(texts) => texts,
        }
    }
}

/// A range of addresses in CIDR notation; an address alone is a range of one.
pub fn address_range(text: &str) -> Result<IpNet, String> {
    let range = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    let wrong = |_| {
        format!(
            "`{}` is no range of addresses: write it as 192.0.2.0/24",
            text.escape_debug()
        )
    };
    let range = range.map(|range| range.trunc()).map_err(wrong)?;
    match range {
        // An IPv4 address in IPv6 form is compared as IPv4, so such a range would match no address.
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => Err(format!(
            "`{}` is a range of IPv4: write it as 192.0.2.0/24",
            text.escape_debug()
        )),
        _ => Ok(range),
    }
}

impl From<&str> for PayloadPiece {
    fn from(text: &str) -> PayloadPiece {
        PayloadPiece::One(text.to_owned())
    }
}

fn secrets<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretRef>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a secret reference such as \"env:NAME\", or a list of them"
    )]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let texts = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    };
    texts
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom))
        .collect()
}

fn places<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<ValueLocation>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a place such as { header = \"NAME\" }, or a list of them"
    )]
    enum OneOrMany {
        One(ValueLocation),
        Many(Vec<ValueLocation>),
    }
    Ok(Some(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(place) => vec![place],
        OneOrMany::Many(places) => places,
    }))
}

/// A duration with its unit, such as `"5m"`; for `deserialize_with`.
pub fn span<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |_| {
        D::Error::custom(format!(
            "`{text}` is not a time: write it with its unit, such as \"5m\""
        ))
    };
    humantime::parse_duration(&text).map(Some).map_err(wrong)
}
