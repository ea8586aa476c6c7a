//! Public keys from PEM, certificates (RFC 5280) and JSON web keys (RFC 7517).

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::{self, Decode, Encode};

const COMMON_NAME: &str = "2.5.4.3";
const KEYS_MAX: usize = 8;

/// Why a text is not a PEM document. Follows the name of the document in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PemError {
    /// The first line of the document, which is missing.
    #[error("is not PEM: it has no `{0}`")]
    NoBegin(String),
    #[error("is PEM with broken base64")]
    NotBase64,
}

/// Why a certificate does not vouch for a public key.
#[derive(Debug, Error)]
pub(crate) enum CertificateError {
    #[error("the certificate is not text")]
    NotText,
    #[error("the certificate {0}")]
    Pem(#[from] PemError),
    #[error("the certificate cannot be read: {0}")]
    Malformed(#[from] der::Error),
    #[error("the certificate is not valid now")]
    NotValidNow,
    #[error("the certificate is not the provider's: another common name")]
    OtherName,
}

/// The content of a PEM document (RFC 7468) with this label.
pub(crate) fn pem_bytes(text: &str, label: &str) -> Result<Vec<u8>, PemError> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );

    let inner = text
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end));
    let (inner, _) = inner.ok_or(PemError::NoBegin(begin))?;
    let joined: String = inner.split_whitespace().collect();

    STANDARD.decode(joined).map_err(|_| PemError::NotBase64)
}

/// The public key (SubjectPublicKeyInfo in DER) of a certificate in PEM. The certificate must be
/// valid at `now` and carry one of the names.
pub(crate) fn certified_key(
    document: &[u8],
    now: Option<SystemTime>,
    is_name: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, CertificateError> {
    let text = std::str::from_utf8(document).map_err(|_| CertificateError::NotText)?;
    let der = pem_bytes(text, "CERTIFICATE")?;
    let certificate = Certificate::from_der(&der)?;
    let certified = &certificate.tbs_certificate;

    if let Some(now) = now {
        let (from, until) = (certified.validity.not_before, certified.validity.not_after);
        if now < from.to_system_time() || now > until.to_system_time() {
            return Err(CertificateError::NotValidNow);
        }
    }

    let names: Vec<String> = certified
        .subject
        .0
        .iter()
        .flat_map(|part| part.0.iter())
        .filter_map(common_name)
        .collect();
    if !matches!(&names[..], [name] if is_name(name)) {
        return Err(CertificateError::OtherName);
    }

    Ok(certified.subject_public_key_info.to_der()?)
}

/// The text of a common name attribute.
fn common_name(attribute: &x509_cert::attr::AttributeTypeAndValue) -> Option<String> {
    let is_one = attribute.oid.to_string() == COMMON_NAME;
    is_one.then(|| String::from_utf8_lossy(attribute.value.value()).into_owned())
}

/// The key bits of a SubjectPublicKeyInfo: PKCS#1 for RSA, a point for elliptic curves, 32 bytes
/// for Ed25519.
pub(crate) fn key_bits(spki: &[u8]) -> Option<Vec<u8>> {
    let info = x509_cert::spki::SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    info.subject_public_key.as_bytes().map(<[u8]>::to_vec)
}

/// A JSON web key for RSA, P-256 or Ed25519.
pub(crate) enum WebKey {
    /// Modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
    /// An uncompressed curve point.
    P256(Vec<u8>),
    /// 32 bytes (RFC 8037).
    Ed25519(Vec<u8>),
}

/// The key with this id in a key set.
pub(crate) fn web_key(document: &[u8], kid: Option<&str>) -> Option<WebKey> {
    let set: serde_json::Value = serde_json::from_slice(document).ok()?;
    let keys = set.get("keys")?.as_array()?;
    let key = match kid {
        Some(_) => keys.iter().find(|key| key_id(key) == kid),
        None => keys.first().filter(|_| keys.len() == 1),
    };

    web_key_of(key?)
}

/// The keys of a set that may have signed: the one with this id, or the first few if the signature
/// names no id.
pub(crate) fn signing_keys(document: &[u8], kid: Option<&str>) -> Vec<WebKey> {
    let set: serde_json::Value = serde_json::from_slice(document).unwrap_or_default();
    let keys = set
        .get("keys")
        .and_then(|keys| keys.as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();

    keys.iter()
        .filter(|key| kid.is_none() || key_id(key) == kid)
        .filter(|key| key.get("use").is_none_or(|usage| usage == "sig"))
        .filter_map(web_key_of)
        .take(KEYS_MAX)
        .collect()
}

fn key_id(key: &serde_json::Value) -> Option<&str> {
    key.get("kid").and_then(|id| id.as_str())
}

/// Parses a JSON web key of a supported type.
pub(crate) fn web_key_of(key: &serde_json::Value) -> Option<WebKey> {
    match key.get("kty")?.as_str()? {
        "RSA" => Some(WebKey::Rsa(bytes(key, "n")?, bytes(key, "e")?)),
        "EC" if key.get("crv")?.as_str()? == "P-256" => {
            let (x, y) = (bytes(key, "x")?, bytes(key, "y")?);
            (x.len() == 32 && y.len() == 32).then(|| WebKey::P256([&[4][..], &x, &y].concat()))
        }
        "OKP" if key.get("crv")?.as_str()? == "Ed25519" => bytes(key, "x")
            .filter(|point| point.len() == 32)
            .map(WebKey::Ed25519),
        _ => None,
    }
}

fn bytes(key: &serde_json::Value, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(key.get(name)?.as_str()?).ok()
}

/// The keys of a set that have a supported type, at most `max`.
pub(crate) fn web_keys(document: &[u8], max: usize) -> Vec<WebKey> {
    let set: Option<serde_json::Value> = serde_json::from_slice(document).ok();
    let keys = set.as_ref().and_then(|set| set.get("keys")?.as_array());
    keys.into_iter()
        .flatten()
        .filter_map(web_key_of)
        .take(max)
        .collect()
}
