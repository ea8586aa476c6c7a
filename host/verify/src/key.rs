//! Decodes the text of a secret into the bytes of a key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::certificate::pem_bytes;
use landfall_model::{KeyForm, Secret};

/// Accepts base64 with and without padding, and keys cut from longer ones.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes of a key: a MAC key, an Ed25519 public key, or a SubjectPublicKeyInfo in DER.
pub(crate) type KeyBytes = Zeroizing<Vec<u8>>;

/// Decodes a secret. The error describes the expected form and never contains the secret.
pub(crate) fn decode(form: KeyForm, secret: &Secret) -> Result<KeyBytes, String> {
    let bytes = secret.expose();
    let text = || {
        std::str::from_utf8(bytes)
            .map(str::trim)
            .map_err(|_| "is not text".to_owned())
    };

    let key = match form {
        KeyForm::Utf8 => bytes.to_vec(),
        KeyForm::Hex => hexadecimal(text()?)?,
        KeyForm::Base64 | KeyForm::SpkiBase64 => base64(text()?)?,
        KeyForm::Whsec => base64(text()?.trim_start_matches("whsec_"))?,
        KeyForm::WhsecOrText => match text()?.strip_prefix("whsec_") {
            Some(rest) => base64(rest)?,
            None => bytes.to_vec(),
        },
        KeyForm::Sha1 if bytes.is_empty() => Vec::new(),
        KeyForm::Sha1 => Sha1::digest(bytes).to_vec(),
        KeyForm::Pem => pem_bytes(text()?, "PUBLIC KEY")?,
        KeyForm::Ed25519Hex => of_length(hexadecimal(text()?)?, 32)?,
        KeyForm::Whpk => of_length(base64(text()?.trim_start_matches("whpk_"))?, 32)?,
    };
    // An empty secret is refused by the secret source. Here it becomes an empty key, which never
    // matches.
    if key.is_empty() && !bytes.is_empty() {
        return Err("is an empty key".into());
    }

    Ok(Zeroizing::new(key))
}

fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).map_err(|_| "is not hex".to_owned())
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    LENIENT.decode(text).map_err(|_| "is not base64".to_owned())
}

fn of_length(bytes: Vec<u8>, expected: usize) -> Result<Vec<u8>, String> {
    if bytes.len() == expected {
        Ok(bytes)
    } else {
        Err(format!("has {} bytes instead of {expected}", bytes.len()))
    }
}
