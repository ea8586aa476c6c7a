//! Public keys from PEM, certificates (RFC 5280) and JSON web keys (RFC 7517).

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

const COMMON_NAME: &str = "2.5.4.3";
const KEYS_MAX: usize = 8;

/// The content of a PEM document (RFC 7468) with this label.
pub(crate) fn pem_bytes(text: &str, label: &str) -> Result<Vec<u8>, String> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );

    let inner = text
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end));
    let (inner, _) = inner.ok_or_else(|| format!("is not PEM: it has no `{begin}`"))?;
    let joined: String = inner.split_whitespace().collect();

    STANDARD
        .decode(joined)
        .map_err(|_| "is PEM with broken base64".to_owned())
}

/// The public key (SubjectPublicKeyInfo in DER) of a certificate in PEM. The certificate must be
/// valid at `now` and carry one of the names.
pub(crate) fn certified_key(
    document: &[u8],
    now: Option<SystemTime>,
    is_name: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, String> {
    let text =
        std::str::from_utf8(document).map_err(|_| "the certificate is not text".to_owned())?;
    let der = pem_bytes(text, "CERTIFICATE").map_err(|why| format!("the certificate {why}"))?;
    let certificate = Certificate::from_der(&der)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let certified = &certificate.tbs_certificate;

    if let Some(now) = now {
        let (from, until) = (certified.validity.not_before, certified.validity.not_after);
        if now < from.to_system_time() || now > until.to_system_time() {
            return Err("the certificate is not valid now".into());
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
        return Err("the certificate is not the provider's: another common name".into());
    }

    certified
        .subject_public_key_info
        .to_der()
        .map_err(|error| format!("the certificate cannot be read: {error}"))
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
    let is_it = |key: &&serde_json::Value| match kid {
        Some(kid) => key.get("kid").and_then(|id| id.as_str()) == Some(kid),
        None => keys.len() == 1,
    };

    web_key_of(keys.iter().find(is_it)?)
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

    let is_it = |key: &&serde_json::Value| {
        kid.is_none() || key.get("kid").and_then(|id| id.as_str()) == kid
    };

    let signs = |key: &&serde_json::Value| key.get("use").is_none_or(|usage| usage == "sig");
    keys.iter()
        .filter(is_it)
        .filter(signs)
        .filter_map(web_key_of)
        .take(KEYS_MAX)
        .collect()
}

/// Parses a JSON web key of a supported type.
pub(crate) fn web_key_of(key: &serde_json::Value) -> Option<WebKey> {
    let field = |name: &str| URL_SAFE_NO_PAD.decode(key.get(name)?.as_str()?).ok();
    match key.get("kty")?.as_str()? {
        "RSA" => Some(WebKey::Rsa(field("n")?, field("e")?)),
        "EC" if key.get("crv")?.as_str()? == "P-256" => {
            let (x, y) = (field("x")?, field("y")?);
            (x.len() == 32 && y.len() == 32).then(|| WebKey::P256([&[4][..], &x, &y].concat()))
        }
        "OKP" if key.get("crv")?.as_str()? == "Ed25519" => field("x")
            .filter(|point| point.len() == 32)
            .map(WebKey::Ed25519),
        _ => None,
    }
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
