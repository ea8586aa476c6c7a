//! From the text of a secret to the bytes of a key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::certificate::pem_bytes;
use landfall_model::{KeyForm, Secret};

/// Keys are written with and without padding, and cut from longer ones.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes of a key: of a MAC, of Ed25519, or a SubjectPublicKeyInfo in DER.
pub type KeyBytes = Zeroizing<Vec<u8>>;

/// Decodes; the error says what the secret should look like and nothing of what it is.
pub fn decode(form: KeyForm, secret: &Secret) -> Result<KeyBytes, String> {
    let bytes = secret.expose();
    let text = || {
        std::str::from_utf8(bytes)
            .map(str::trim)
            .map_err(|_| "is not text".to_owned())
    };

    let base64 = |text: &str| LENIENT.decode(text).map_err(|_| "is not base64".to_owned());
    let hexadecimal = |text: &str| hex::decode(text).map_err(|_| "is not hex".to_owned());
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
    // A text that is empty is the secret source's to refuse; here it is a key that nothing matches.
    if key.is_empty() && !bytes.is_empty() {
        return Err("is an empty key".into());
    }

    Ok(Zeroizing::new(key))
}

fn of_length(bytes: Vec<u8>, expected: usize) -> Result<Vec<u8>, String> {
    if bytes.len() == expected {
        Ok(bytes)
    } else {
        Err(format!("has {} bytes instead of {expected}", bytes.len()))
    }
}
