//! How a sender is authenticated, as data: the fields of a `[verify]` table and of a provider pack.
//! The crate `verify` turns them into a checked verifier; docs/VERIFY.md describes every field.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::caller_addresses::FromAddresses;
use super::challenge::ChallengeSpec;
use super::jwt_spec::JwtSpec;
use super::secret_ref::SecretRef;
use super::signature_spec::{
    Algorithm, Encoding, KeyForm, KeySetSpec, ListSpec, MessageSignatureSpec, PayloadPiece,
    TimeSpec,
};
use super::value_location::ValueLocation;

/// A `[verify]` table as typed. A pack has the same fields, without secrets.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifySpec {
    /// A provider pack. Its fields are the defaults of all other fields.
    pub provider: Option<String>,
    /// The kind of proof. Without a scheme and a provider, the hook is closed.
    pub scheme: Option<Scheme>,
    /// References to the secrets; any of them may match.
    #[serde(default, deserialize_with = "secrets")]
    pub secret: Vec<SecretRef>,
    /// Secrets that are used for ownership checks only. Empty: those of `secret`.
    #[serde(default, deserialize_with = "secrets")]
    pub challenge_secret: Vec<SecretRef>,
    /// How the text of a secret becomes the bytes of a key.
    pub key: Option<KeyForm>,
    /// The places of the token, signature or JWT; several for numbered headers.
    #[serde(default, deserialize_with = "places")]
    pub from: Option<Vec<ValueLocation>>,
    /// Constant text before the token or signature, such as `Bearer ` or `sha256=`.
    pub prefix: Option<String>,
    /// How a header with several labelled signatures is split.
    pub list: Option<ListSpec>,
    /// How the signature is computed.
    pub algorithm: Option<Algorithm>,
    /// How the signature is encoded.
    pub encoding: Option<Encoding>,
    /// Method names that may precede a signature, as in `sha256=…`: each is the HMAC with that
    /// digest. Replaces `algorithm` and `prefix`.
    pub methods: Option<Vec<String>>,
    /// Public keys that the provider publishes, instead of `secret`.
    pub key_set: Option<KeySetSpec>,
    /// The signed text: literal text and `{tokens}`, joined.
    pub payload: Option<Vec<PayloadPiece>>,
    /// Other signed texts that are accepted, each written like `payload`.
    pub payload_alternatives: Option<Vec<Vec<PayloadPiece>>>,
    /// The signed time and its window.
    pub timestamp: Option<TimeSpec>,
    /// The signed id of the delivery.
    pub id: Option<ValueLocation>,
    /// Headers that must have exactly this value.
    pub require: Option<BTreeMap<String, String>>,
    /// Scheme, host and, if a proxy removes one, path prefix that senders call. They are never
    /// taken from the request.
    pub public_url: Option<String>,
    /// The whole URL that senders call, instead of `public_url`, for proxies that replace the path.
    pub url: Option<String>,
    /// The operator's values for `{config.NAME}`.
    #[serde(default)]
    pub config: BTreeMap<String, ConfigValue>,
    /// Rules for a JSON web token.
    pub jwt: Option<JwtSpec>,
    /// Rules for HTTP message signatures.
    pub message_signature: Option<MessageSignatureSpec>,
    /// Ownership checks that are answered without running the component.
    pub challenge: Option<Vec<ChallengeSpec>>,
    /// Status of the response to a request that is not authenticated.
    pub refused_status: Option<u16>,
    /// The addresses from which requests may come. `None`: any address.
    pub from_addresses: Option<FromAddresses>,
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
    /// Every request is accepted. Only if it is written explicitly.
    None,
    /// Twilio: URL and sorted form, or URL and a body digest in the query.
    Twilio,
    /// Amazon SNS: fields of the JSON body; the key is in a certificate, by URL.
    AwsSns,
    /// PayPal: transmission fields and a checksum of the body; the key is in a certificate, by URL.
    Paypal,
    /// Adyen: each item of a batch has its own signature.
    Adyen,
    /// Braintree: a form field; key id and digest are in another field.
    Braintree,
    /// Contentful: a canonical request with headers that the sender chooses.
    Contentful,
    /// Dropbox Sign: a JSON document in a multipart field; time and type are signed.
    DropboxSign,
    /// Adobe I/O: two signatures; the keys are found by path.
    AdobeIo,
    /// App Store: a JSON web signature with its certificates, pinned to Apple's root.
    AppleAppStore,
    /// eBay: ECDSA over the body; an API returns the key by its id.
    Ebay,
    /// Plivo: URL, sorted query and form, and a nonce.
    Plivo,
    /// Lines of the request that the signature lists (draft-cavage-http-signatures).
    Keygen,
    /// A JSON web signature without its payload, which is the body as sent (RFC 7797).
    DetachedJws,
    /// HTTP message signatures (RFC 9421).
    HttpMessageSignatures,
}

/// A value that the operator writes for `{config.NAME}`.
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
    /// The texts of this value.
    pub fn texts(&self) -> &[String] {
        match self {
            ConfigValue::One(text) => std::slice::from_ref(text),
            ConfigValue::Many(texts) => texts,
        }
    }
}

fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretRef>, D::Error> {
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

fn places<'de, D: Deserializer<'de>>(
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
