//! Decodes the text of a secret into the bytes of a key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest, Sha1};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::certificate::{PemError, pem_bytes};
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

/// Why a secret is not a key. Follows the name of the secret in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum KeyError {
    #[error("is not text")]
    NotText,
    #[error("is not hex")]
    NotHex,
    #[error("is not base64")]
    NotBase64,
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error("has {found} bytes instead of {expected}")]
    WrongLength { found: usize, expected: usize },
    #[error("is an empty key")]
    Empty,
}

/// Decodes a secret. The error describes the expected form and never contains the secret.
pub(crate) fn decode(form: KeyForm, secret: &Secret) -> Result<KeyBytes, KeyError> {
    let bytes = secret.expose();
    let key = match form {
        KeyForm::Utf8 => bytes.to_vec(),
        KeyForm::Hex => hexadecimal(text(bytes)?)?,
        KeyForm::Base64 | KeyForm::SpkiBase64 => base64(text(bytes)?)?,
        KeyForm::Whsec => base64(text(bytes)?.trim_start_matches("whsec_"))?,
        KeyForm::WhsecOrText => match text(bytes)?.strip_prefix("whsec_") {
            Some(rest) => base64(rest)?,
            None => bytes.to_vec(),
        },
        KeyForm::Sha1 if bytes.is_empty() => Vec::new(),
        KeyForm::Sha1 => Sha1::digest(bytes).to_vec(),
        KeyForm::Pem => pem_bytes(text(bytes)?, "PUBLIC KEY")?,
        KeyForm::Ed25519Hex => of_length(hexadecimal(text(bytes)?)?, 32)?,
        KeyForm::Whpk => of_length(base64(text(bytes)?.trim_start_matches("whpk_"))?, 32)?,
    };

    // An empty secret is refused by the secret source. Here it becomes an empty key, which never
    // matches.
    if key.is_empty() && !bytes.is_empty() {
        return Err(KeyError::Empty);
    }

    Ok(Zeroizing::new(key))
}

fn text(bytes: &[u8]) -> Result<&str, KeyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NotText)?;
    Ok(text.trim())
}

fn hexadecimal(text: &str) -> Result<Vec<u8>, KeyError> {
    hex::decode(text).map_err(|_| KeyError::NotHex)
}

fn base64(text: &str) -> Result<Vec<u8>, KeyError> {
    LENIENT.decode(text).map_err(|_| KeyError::NotBase64)
}

fn of_length(bytes: Vec<u8>, expected: usize) -> Result<Vec<u8>, KeyError> {
    if bytes.len() == expected {
        Ok(bytes)
    } else {
        Err(KeyError::WrongLength {
            found: bytes.len(),
            expected,
        })
    }
}
